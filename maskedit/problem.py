"""What is to be edited: images, models, and the edit that is wished for. Checked before any work."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from maskedit.edit import Edit, Wish
from maskedit.errors import InputError
from maskedit.protocols import Classifier, Encoder, Generator, LatentDistribution, Models, Parser
from maskedit.types import Image, Latent, NoiseMap


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """One batch of images to edit, and the models to edit them with.

    Args:
        models: generator, and what the schedule needs beside it.
        image: aligned images ``[b, 3, R, R]`` in [0, 1], at the generator's resolution ``R``.
        edit: what is wished for, an :class:`~maskedit.edit.Edit` or a short form of one. It says which regions may
            change; without it none is named.
        start: where the latent starts: ``"mean"`` (the paper), ``"encoder"``, or a latent
            ``[b, layers, dim]`` of your own.

    Raises:
        InputError: naming the argument, what it should be, and what it is.
    """

    models: Models
    image: Image
    edit: Wish = ()
    start: Literal["mean", "encoder"] | Latent = "mean"

    def __post_init__(self) -> None:
        _check_models(self.models)
        object.__setattr__(self, "edit", Edit.of(self.edit))
        _check_image(self.image, self.models.generator.resolution)
        self.asked.check(self.models)
        self._check_start()

    def __repr__(self) -> str:
        start = self.start if isinstance(self.start, str) else "a given latent"
        size = self.models.generator.resolution
        where = ", ".join(self.regions) or "no region"
        return f"Problem({len(self.image)} x {size} px, {self.edit!r} in {where}, start {start})"

    @property
    def asked(self) -> Edit:
        """The edit, whatever form it was given in."""
        return Edit.of(self.edit)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that may change."""
        return self.asked.regions

    def start_latent(self) -> Latent:
        """The latent to start from ``[b, layers, dim]``, fresh, without gradient."""
        if isinstance(self.start, Tensor):
            return self.start.detach().clone()
        if self.start == "encoder":
            assert self.models.encoder is not None  # checked when the problem was made
            with torch.no_grad():
                latent = self.models.encoder.encode(self.image)
            _check_latent("the encoder's prediction", latent, self.models.generator, len(self.image))
            return latent.detach().clone()
        assert self.models.mean_latent is not None  # likewise
        mean = self.models.mean_latent.to(self.image)
        return mean.expand(len(self.image), *mean.shape).clone()

    def start_noises(self) -> tuple[NoiseMap, ...]:
        """Zero noise maps ``[b, 1, h_i, w_i]``: the paper fits the latent without noise."""
        return tuple(self.image.new_zeros(len(self.image), 1, h, w) for h, w in self.models.generator.noise_shapes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images, the start, the names and the models' weights: which run this is.

        Of a model that is no ``nn.Module`` only its class is known.
        """
        digest = hashlib.sha256(repr((self.edit, self.regions)).encode())
        latents = self.models.latents
        where = () if latents is None else (latents.mean, latents.components, latents.deviations)
        named = {} if latents is None else latents.directions
        digest.update(repr(tuple(named)).encode())
        for tensor in (self.image, self.start, self.models.mean_latent, *where, *named.values()):
            digest.update(_bytes(tensor) if isinstance(tensor, Tensor) else repr(tensor).encode())
        models: tuple[object, ...] = (self.models.generator, self.models.parser)
        for model in (*models, self.models.classifier, self.models.encoder):
            digest.update(type(model).__qualname__.encode())
            if isinstance(model, nn.Module):
                for name, tensor in model.state_dict().items():
                    digest.update(name.encode() + _bytes(tensor))
        return digest.hexdigest()

    def _check_start(self) -> None:
        if isinstance(self.start, Tensor):
            _check_latent("start", self.start, self.models.generator, len(self.image))
        elif self.start == "encoder":
            if self.models.encoder is None:
                raise InputError(
                    "start='encoder' needs an encoder", actual="models.encoder is None", hint="Use start='mean'."
                )
        elif self.start != "mean":
            raise InputError("unknown start", expected="'mean', 'encoder' or a latent", actual=repr(self.start))
        else:
            mean = self.models.mean_latent
            if mean is None:
                raise InputError(
                    "start='mean' needs a mean latent",
                    actual="models.mean_latent is None",
                    hint="Average the generator's mapped codes, or give a latent as start.",
                )
            if tuple(mean.shape) != tuple(self.models.generator.latent_shape):
                raise InputError(
                    "the mean latent is not of this generator",
                    expected=str(list(self.models.generator.latent_shape)),
                    actual=str(list(mean.shape)),
                )


def _check_models(models: Models) -> None:
    for name, protocol in (
        ("generator", Generator),
        ("parser", Parser),
        ("classifier", Classifier),
        ("encoder", Encoder),
    ):
        model = getattr(models, name)
        if (model is not None or name == "generator") and not isinstance(model, protocol):
            needs = [member for member in dir(protocol) if not member.startswith("_")]
            raise InputError(
                f"{type(model).__name__} is not a {name}",
                expected=f"an object with {', '.join(needs)}",
                hint="docs/own/model.md shows how to plug a model in.",
            )
    latents = models.latents
    if latents is not None:
        _check_distribution(latents, models.generator)


def _check_distribution(latents: LatentDistribution, generator: Generator) -> None:
    layers, dim = generator.latent_shape
    k, named = len(latents.deviations), latents.directions.values()
    fits = (
        tuple(latents.mean.shape) == (layers, dim)
        and tuple(latents.components.shape) == (k, layers * dim)
        and bool((latents.deviations > 0).all())
        and all(tuple(direction.shape) == (layers, dim) for direction in named)
    )
    if not fits:
        raise InputError(
            "the latent distribution is not of this generator",
            expected=f"mean [{layers}, {dim}], components [k, {layers * dim}], positive deviations [k], "
            "and directions like the mean",
            actual=", ".join(
                str(list(t.shape)) for t in (latents.mean, latents.components, latents.deviations, *named)
            ),
        )


def _check_image(image: Tensor, resolution: int) -> None:
    wanted = f"a float tensor [b, 3, {resolution}, {resolution}] in [0, 1]"
    if not isinstance(image, Tensor) or not image.is_floating_point():
        actual = str(image.dtype) if isinstance(image, Tensor) else type(image).__name__
        raise InputError(
            "image is not a picture", expected=wanted, actual=actual, hint="Divide bytes by 255: x.float() / 255."
        )
    if image.dtype not in (torch.float32, torch.float64):
        raise InputError(
            "image is of half precision",
            expected="float32 or float64: latents and losses are kept in the image's type",
            actual=str(image.dtype),
            hint="Convert it with x.float(); let the models work in half precision by themselves.",
        )
    if image.ndim != 4 or image.shape[0] == 0 or tuple(image.shape[1:]) != (3, resolution, resolution):
        raise InputError(
            "image has the wrong shape",
            expected=wanted,
            actual=str(list(image.shape)),
            hint="A single picture needs a batch dimension: x[None]."
            if image.ndim == 3
            else "Align the face to the generator's resolution first (maskedit.photo).",
        )
    if not bool(image.isfinite().all()):
        raise InputError("image has values that are not finite", expected=wanted)
    low, high = image.aminmax()
    if low < -1e-3 or high > 1 + 1e-3:
        raise InputError(
            "image is out of range",
            expected=wanted,
            actual=f"values from {low:.3g} to {high:.3g}",
            hint="From [-1, 1]: (x + 1) / 2." if high <= 1 + 1e-3 else "From bytes: x / 255.",
        )


def _check_latent(name: str, latent: Tensor, generator: Generator, batch: int) -> None:
    layers, dim = generator.latent_shape
    if tuple(latent.shape) != (batch, layers, dim) or not latent.is_floating_point():
        raise InputError(
            f"{name} is not a latent for each image",
            expected=f"a float tensor [{batch}, {layers}, {dim}]",
            actual=f"{str(latent.dtype).removeprefix('torch.')} {list(latent.shape)}",
            hint="One W+ code needs a batch dimension: w[None]." if latent.ndim == 2 else "",
        )
    if not bool(latent.isfinite().all()):
        raise InputError(f"{name} has values that are not finite")


def _bytes(tensor: Shaped[Tensor, "..."]) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
