"""What can be seen at one step: a picture, and what parser and classifier say of it.

Terms read views and nothing else. A view asks each model at most once, only when something reads it, and
only for the regions and attributes that the stage's terms declared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError, RunError
from maskedit.protocols import LatentDistribution, Models
from maskedit.types import Image, Latent, Logits, Mask, NoiseMap, Regions


@dataclass(frozen=True)
class Reads:
    """What a stage's terms and events ask of the parser and the classifier."""

    regions: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    def __or__(self, other: "Reads") -> "Reads":
        return Reads(
            tuple(dict.fromkeys(self.regions + other.regions)),
            tuple(dict.fromkeys(self.attributes + other.attributes)),
        )


class Shown:
    """A picture, and what the models see in it.

    Args:
        models: the parser and classifier to ask.
        reads: what they will be asked for.
        image: the picture ``[b, 3, R, R]``.
    """

    def __init__(self, *, models: Models, reads: Reads, image: Image) -> None:
        self._models, self._reads, self._image = models, reads, image
        self._sized: dict[tuple[str, ...], Mask] = {}

    @property
    def image(self) -> Image:
        """The picture ``[b, 3, R, R]``, RGB in [0, 1]."""
        return self._image

    def region(self, *names: str) -> Mask:
        """The probability ``[b, 1, R, R]`` of these regions together, at the image's size.

        Resized as the released program does: bilinearly when growing; by area when shrinking.
        """
        if names not in self._sized:
            self._sized[names] = _resize(self.native_region(*names), self.image.shape[-2:])
        return self._sized[names]

    def native_region(self, *names: str) -> Mask:
        """The probability ``[b, 1, h, w]`` of these regions together, at the parser's own size."""
        chosen = [_position(name, self._reads.regions, "region") for name in names]
        return self._parsed[:, chosen].sum(dim=1, keepdim=True)

    def logits(self, *names: str) -> Logits:
        """The classifier's logits ``[b, len(names)]``."""
        return self._classified[:, [_position(name, self._reads.attributes, "attribute") for name in names]]

    @cached_property
    def _parsed(self) -> Regions:
        assert self._models.parser is not None  # the schedule was checked against the problem
        names, batch = self._reads.regions, len(self.image)
        parsed = self._models.parser.parse(self.image, names)
        if parsed.ndim != 4 or parsed.shape[:2] != (batch, len(names)):
            raise _misanswer("parser", names, f"[{batch}, {len(names)}, h, w]", parsed)
        return parsed

    @cached_property
    def _classified(self) -> Logits:
        assert self._models.classifier is not None
        names, batch = self._reads.attributes, len(self.image)
        logits = self._models.classifier.classify(self.image, names)
        if tuple(logits.shape) != (batch, len(names)):
            raise _misanswer("classifier", names, f"[{batch}, {len(names)}]", logits)
        return logits


class Start:
    """Where the run started: ``latent`` ``[b, layers, dim]``."""

    def __init__(self, latent: Latent) -> None:
        self.latent = latent


class View(Shown):
    """What this step's latent and noise maps show.

    Attributes:
        latent: this step's ``[b, layers, dim]``.
        noises: this step's maps ``[b, 1, h_i, w_i]``.
        original: the input, and what the models see in it.
        start: the latent that the run started from.
        grown: where the target region was last seen by :class:`~maskedit.schedule.GrowTarget`
            ``[b, 1, R, R]``; zeros until then.
        compose: the schedule's blend: the picture that a generated one would end as.
    """

    def __init__(
        self,
        *,
        models: Models,
        reads: Reads,
        latent: Latent,
        noises: Sequence[NoiseMap],
        original: Shown,
        start: Start,
        grown: Mask,
        compose: Callable[[Image], Image] | None = None,
    ) -> None:
        self._models, self._reads, self._compose = models, reads, compose
        self._sized = {}
        self.latent, self.noises = latent, tuple(noises)
        self.original, self.start, self.grown = original, start, grown

    @cached_property
    def image(self) -> Image:  # drawn when first read
        """The generated picture ``[b, 3, R, R]``."""
        image = self._models.generator.synthesize(self.latent, self.noises)
        if image.shape != self.original.image.shape:
            raise RunError(
                "the generator's picture is not of the size that it says",
                expected=str(list(self.original.image.shape)),
                actual=str(list(image.shape)),
            )
        return image

    @cached_property
    def blended(self) -> Shown:
        """The picture as the run would return it now, and what the models see in it."""
        assert self._compose is not None  # the schedule was checked: a term that needs a blend has one
        return Shown(models=self._models, reads=self._reads, image=self._compose(self.image))

    @property
    def drawn(self) -> bool:
        """Whether anything has looked at the picture yet."""
        return "image" in self.__dict__

    @property
    def latents(self) -> LatentDistribution:
        """Where plausible latents lie, on the latent's device and in its type."""
        assert self._models.latents is not None
        source = self._models.latents
        mean, components, deviations = (t.to(self.latent) for t in (source.mean, source.components, source.deviations))
        directions = {name: direction.to(self.latent) for name, direction in source.directions.items()}
        return LatentDistribution(mean, components, deviations, directions)


def see_original(models: Models, reads: Reads, image: Image) -> Shown:
    """The input as the models see it, once and without gradient.

    Raises:
        RunError: if the parser's regions are not probabilities, or a model answers more than it was asked.
    """
    original = Shown(models=models, reads=reads, image=image.detach())
    with torch.no_grad():
        if reads.regions:
            low, high = original._parsed.aminmax()
            if low < -1e-3 or high > 1 + 1e-3:
                raise RunError(
                    "the parser's regions are not probabilities",
                    expected="values in [0, 1]",
                    actual=f"values from {low:.3g} to {high:.3g}",
                    hint="Logits need a softmax over the regions.",
                )
        if reads.attributes:
            original.logits(*reads.attributes)
    return original


def _misanswer(role: str, names: tuple[str, ...], expected: str, answer: Tensor) -> RunError:
    return RunError(
        f"the {role} was asked for {', '.join(names)}",
        expected=expected,
        actual=str(list(answer.shape)),
        hint="It must answer with the names that it is asked for, in their order.",
    )


def _resize(mask: Mask, size: torch.Size) -> Float[Tensor, "b 1 H W"]:
    if mask.shape[-2:] == size:
        return mask
    if mask.shape[-1] > size[-1]:
        return F.interpolate(mask, size=size, mode="area")
    return F.interpolate(mask, size=size, mode="bilinear", align_corners=False)


def _position(name: str, names: tuple[str, ...], kind: str) -> int:
    if name not in names:
        raise InputError(
            f"the {kind} {name!r} is read, but no term or event of the stage declares it",
            expected=f"one of {', '.join(names) or 'none'}",
            hint=f"Declare it: Term(..., {kind}s=[{name!r}]).",
        )
    return names.index(name)
