"""What is to be edited: images, models, and the edit that is wished for. Checked before any work."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from maskedit.edit import Edit, Wish
from maskedit.errors import InputError
from maskedit.protocols import (
    Classifier,
    Encoder,
    Generator,
    LatentDistribution,
    Models,
    Parser,
    TakesInputs,
    size_of,
)
from maskedit.starts import check_latent, start_latents
from maskedit.types import Image, Latent, NoiseMap


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """One batch of images to edit, and the models to edit them with.

    Args:
        models: generator, and what the schedule needs beside it.
        image: aligned images ``[b, 3, H, W]`` in the range. Of another size than the generator's pictures, terms see
            those at the image's size. None edits what the start draws.
        edit: what is wished for, an :class:`~maskedit.edit.Edit` or a short form of one. It says which regions may
            change; without it none is named.
        start: where the latent starts: ``"mean"`` (the paper), ``"encoder"``, a latent ``[b, *latent]`` of your own, or
            one w ``[b, dim]`` or ``[dim]`` for all rows; a tensor, an array, or a file of either (.npy, .npz, .pt,
            .safetensors, with one tensor in it).
        noises: the noise maps to start from, ``[b, 1, h_i, w_i]``, such as a checkpoint's constant ones; zeros by
            default.
        inputs: values ``[b, *shape]`` for further inputs of the generator, by the names that it gives them.
        range: values of black and of full light, of the image and of the generator's pictures alike. Parser and
            classifier are shown pictures in [0, 1] whatever it is.

    Raises:
        InputError: naming the argument, what it should be, and what it is.
    """

    models: Models
    image: Image | None
    edit: Wish = ()
    start: Literal["mean", "encoder"] | Tensor | np.ndarray | str | os.PathLike[str] = "mean"
    noises: Sequence[Float[Tensor, "b 1 _ _"]] | None = None
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    range: tuple[float | int, float | int] = (0.0, 1.0)

    def __post_init__(self) -> None:
        _check_models(self.models)
        object.__setattr__(self, "edit", Edit.of(self.edit))
        low, high = _checked_range(self.range)
        object.__setattr__(self, "range", (low, high))
        if self.image is not None:
            _check_image(self.image, low, high)
            if self.image.is_inference():  # such a tensor can never take part in gradients
                object.__setattr__(self, "image", self.image.clone())
        if not isinstance(self.start, str) or self.start not in ("mean", "encoder"):
            object.__setattr__(self, "start", start_latents(self.start, self.models.generator, self._images()))
        self.asked.check(self.models)
        self._check_start()
        self._check_given()

    def __repr__(self) -> str:
        start = self.start if isinstance(self.start, str) else "a given latent"
        height, width = self.size
        size = f"{width} px" if height == width else f"{width} x {height} px"
        where = ", ".join(self.regions) or "no region"
        return f"Problem({self.batch} x {size}, {self.edit!r} in {where}, start {start})"

    @property
    def batch(self) -> int:
        """How many images."""
        images = self._images()
        if images is None:
            return len(self.start) if isinstance(self.start, Tensor) else 1
        return images

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images that terms see."""
        return size_of(self.models.generator) if self.image is None else (self.image.shape[2], self.image.shape[3])

    @property
    def like(self) -> Tensor:
        """A tensor on whose device, and in whose type, the run takes place."""
        for tensor in (self.image, self.start, self.models.mean_latent):
            if isinstance(tensor, Tensor):
                return tensor
        return torch.zeros(())

    @property
    def asked(self) -> Edit:
        """The edit, whatever form it was given in."""
        return Edit.of(self.edit)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that may change."""
        return self.asked.regions

    def start_latent(self) -> Latent:
        """The latent to start from ``[b, *latent]``, fresh, without gradient."""
        if isinstance(self.start, Tensor):
            return self.start.detach().to(self.like).clone()
        if self.start == "encoder":
            assert self.models.encoder is not None  # checked when the problem was made
            assert self.image is not None
            low, high = self.range
            image = self.image if self.range == (0, 1) else (self.image - low) / (high - low)
            with torch.no_grad():
                latent = self.models.encoder.encode(image)
            check_latent("the encoder's prediction", latent, self.models.generator, self.batch)
            return latent.detach().to(self.image).clone()
        assert self.models.mean_latent is not None  # likewise
        mean = self.models.mean_latent.detach().to(self.like)
        return mean.expand(self.batch, *mean.shape).clone()

    def start_noises(self) -> tuple[NoiseMap, ...]:
        """The noise maps to start from ``[b, 1, h_i, w_i]``: zeros, as the paper fits the latent without noise."""
        if self.noises is not None:
            return tuple(noise.detach().to(self.like).clone() for noise in self.noises)
        shapes = self.models.generator.noise_shapes
        return tuple(self.like.new_zeros(self.batch, 1, height, width) for height, width in shapes)

    def start_inputs(self) -> dict[str, Tensor]:
        """The further inputs that are given ``[b, *shape]``."""
        return {name: value.detach().to(self.like).clone() for name, value in self.inputs.items()}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images, the start, the names and the models' weights: which run this is.

        Of a model that is no ``nn.Module`` only its class is known.
        """
        digest = hashlib.sha256(repr((self.edit, self.regions, self.range, tuple(self.inputs))).encode())
        latents = self.models.latents
        where = () if latents is None else (latents.mean, latents.components, latents.deviations)
        named = {} if latents is None else latents.directions
        digest.update(repr(tuple(named)).encode())
        given = (*(self.noises or ()), *self.inputs.values())
        for tensor in (self.image, self.start, self.models.mean_latent, *where, *named.values(), *given):
            digest.update(_bytes(tensor) if isinstance(tensor, Tensor) else repr(tensor).encode())
        models: tuple[object, ...] = (self.models.generator, self.models.parser)
        for model in (*models, self.models.classifier, self.models.encoder):
            digest.update(type(model).__qualname__.encode())
            if isinstance(model, nn.Module):
                for name, tensor in model.state_dict().items():
                    digest.update(name.encode() + _bytes(tensor))
        return digest.hexdigest()

    def _images(self) -> int | None:
        """How many images are given, if any are."""
        return None if self.image is None else len(self.image)

    def _check_start(self) -> None:
        if isinstance(self.start, Tensor):
            return
        if self.start == "encoder":
            if self.models.encoder is None:
                raise InputError(
                    "start='encoder' needs an encoder", actual="models.encoder is None", hint="Use start='mean'."
                )
            if self.image is None:
                raise InputError("start='encoder' needs an image", actual="image=None", hint="Use start='mean'.")
            return
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

    def _check_given(self) -> None:
        """Refuse noise maps and inputs that are not this generator's."""
        generator = self.models.generator
        if self.noises is not None:
            shapes = [(self.batch, 1, *shape) for shape in generator.noise_shapes]
            actual = [tuple(noise.shape) for noise in self.noises]
            if shapes != actual:
                raise InputError("the noise maps are not this generator's", expected=str(shapes), actual=str(actual))
        known = dict(generator.input_shapes) if isinstance(generator, TakesInputs) else {}
        for name, value in self.inputs.items():
            if name not in known:
                known_names = ", ".join(known) or "none"
                raise InputError(f"the generator takes no input {name!r}", expected=f"one of {known_names}")
            if tuple(value.shape) != (self.batch, *known[name]):
                raise InputError(
                    f"the input {name!r} has the wrong shape",
                    expected=str([self.batch, *known[name]]),
                    actual=str(list(value.shape)),
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
    shape = tuple(generator.latent_shape)
    k, named = len(latents.deviations), latents.directions.values()
    fits = (
        tuple(latents.mean.shape) == shape
        and tuple(latents.components.shape) == (k, math.prod(shape))
        and bool((latents.deviations > 0).all())
        and all(tuple(direction.shape) == shape for direction in named)
    )
    if not fits:
        raise InputError(
            "the latent distribution is not of this generator",
            expected=f"mean {list(shape)}, components [k, {math.prod(shape)}], positive deviations [k], "
            "and directions like the mean",
            actual=", ".join(
                str(list(t.shape)) for t in (latents.mean, latents.components, latents.deviations, *named)
            ),
        )


def _checked_range(given: tuple[float | int, float | int]) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not low < high:
        raise InputError("range is not one", expected="(black, full light), such as (-1, 1)", actual=repr(given))
    return low, high


def _check_image(image: Tensor, low: float, high: float) -> None:
    wanted = f"a float tensor [b, 3, h, w] in [{low:g}, {high:g}]"
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
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise InputError(
            "image has the wrong shape",
            expected=wanted,
            actual=str(list(image.shape)),
            hint="A single picture needs a batch dimension: x[None]." if image.ndim == 3 else "",
        )
    if not bool(image.isfinite().all()):
        raise InputError("image has values that are not finite", expected=wanted)
    least, most = (float(value) for value in image.aminmax())
    slack = 1e-3 * (high - low)
    if least < low - slack or most > high + slack:
        hint = "From bytes: x / 255."
        if (low, high) == (0, 1) and -1 - slack <= least and most <= 1 + slack:
            hint = "From [-1, 1]: (x + 1) / 2, or Problem(..., range=(-1, 1)) if the generator's are too."
        raise InputError(
            "image is out of range", expected=wanted, actual=f"values from {least:.3g} to {most:.3g}", hint=hint
        )


def _bytes(tensor: Shaped[Tensor, "..."]) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
