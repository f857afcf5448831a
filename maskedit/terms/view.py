"""What can be seen at one step: a picture, and what parser and classifier say of it.

Terms read views and nothing else. A view asks each model at most once, only when something reads it, and
only for what the stage's terms and events declared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError, RunError
from maskedit.protocols import LatentDistribution, Models, size_of
from maskedit.terms.drawing import Given, draw, in_type_of, noises_in, stacked
from maskedit.terms.moving_target import placed
from maskedit.types import Image, Latent, Logits, Mask, NoiseMap, Regions

Range: TypeAlias = tuple[float | int, float | int]
"""Values of black and of full light in the pictures of a problem."""


@dataclass(frozen=True)
class Reads:
    """What a stage's terms and events ask of the models.

    Args:
        regions: of the parser.
        attributes: of the classifier.
        extras: what the generator is to show beside its picture.
    """

    regions: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    def __or__(self, other: "Reads") -> "Reads":
        return Reads(
            tuple(dict.fromkeys(self.regions + other.regions)),
            tuple(dict.fromkeys(self.attributes + other.attributes)),
            tuple(dict.fromkeys(self.extras + other.extras)),
        )


class Shown:
    """A picture, and what the models see in it.

    Args:
        models: the parser and classifier to ask.
        reads: what they will be asked for.
        image: the picture ``[b, 3, H, W]``.
        range: values of black and of full light in it; models are shown it in [0, 1].
    """

    def __init__(self, *, models: Models, reads: Reads, image: Image, range: Range = (0.0, 1.0)) -> None:
        self._models, self._reads, self._image, self._range = models, reads, image, range
        self._sized: dict[tuple[str, ...], Mask] = {}
        self._features: dict[Any, Any] = {}

    @property
    def image(self) -> Image:
        """The picture ``[b, 3, H, W]``, RGB in the problem's range: [0, 1] unless it says otherwise."""
        return self._image

    def region(self, *names: str) -> Mask:
        """The probability ``[b, 1, H, W]`` of these regions together, at the image's size.

        Resized as the released program does: bilinearly when growing; by area when shrinking.
        """
        if names not in self._sized:
            self._sized[names] = fitted_to(self.native_region(*names), self.image.shape[-2:])
        return self._sized[names]

    def native_region(self, *names: str) -> Mask:
        """The probability ``[b, 1, h, w]`` of these regions together, at the parser's own size."""
        chosen = [_position(name, self._reads.regions, "region") for name in names]
        return self._parsed[:, chosen].sum(dim=1, keepdim=True)

    def logits(self, *names: str) -> Logits:
        """The classifier's logits ``[b, len(names)]``."""
        return self._classified[:, [_position(name, self._reads.attributes, "attribute") for name in names]]

    def features(self, network: Callable[[Image], Any]) -> Any:
        """What a network says of the picture, asked once; of the input once a run.

        Args:
            network: maps an image to features: a tensor, or a sequence of feature maps.
        """
        if network not in self._features:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.image.requires_grad):
                self._features[network] = network(self.image)
        return self._features[network]

    def alone(self, image: int) -> "Shown":
        """One image of the batch, with what was seen in it already."""
        single = Shown(models=self._models, reads=self._reads, image=self.image[image : image + 1], range=self._range)
        for seen in ("_parsed", "_classified"):
            if seen in self.__dict__:
                single.__dict__[seen] = self.__dict__[seen][image : image + 1]
        return single

    def _for(self, model: object) -> Image:
        """The picture as models want it: in [0, 1], and in the type of their weights."""
        low, high = self._range
        return in_type_of(model, self.image if (low, high) == (0, 1) else (self.image - low) / (high - low))

    @cached_property
    def _parsed(self) -> Regions:
        assert self._models.parser is not None  # the schedule was checked against the problem
        names, batch = self._reads.regions, len(self.image)
        parsed = self._models.parser.parse(self._for(self._models.parser), names)
        if not isinstance(parsed, Tensor) or parsed.ndim != 4 or parsed.shape[:2] != (batch, len(names)):
            raise _misanswer("parser", names, f"[{batch}, {len(names)}, h, w]", parsed)
        return parsed.to(self.image.dtype)

    @cached_property
    def _classified(self) -> Logits:
        assert self._models.classifier is not None
        names, batch = self._reads.attributes, len(self.image)
        logits = self._models.classifier.classify(self._for(self._models.classifier), names)
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (batch, len(names)):
            raise _misanswer("classifier", names, f"[{batch}, {len(names)}]", logits)
        return logits.to(self.image.dtype)


@dataclass(frozen=True, eq=False)
class Start:
    """Where the run, or a variable in it, started.

    Args:
        given: everything that was drawn from, by name, each ``[b, ...]``.
    """

    given: Mapping[str, Tensor]

    @property
    def latent(self) -> Latent:
        """The latent that the run started from ``[b, *latent]``."""
        return self.given["latent"]


@dataclass(frozen=True, eq=False)
class Scene:
    """What all views of a stage share.

    Args:
        models: of the problem.
        reads: what they may be asked for.
        original: the input, and what the models see in it.
        start: where the run started.
        range: values of black and of full light.
        compose: the schedule's blend: the picture that a generated one would end as.
    """

    models: Models
    reads: Reads
    original: Shown
    start: Start
    range: Range = (0.0, 1.0)
    compose: Callable[[Image], Image] | None = None

    def alone(self, image: int) -> "Scene":
        """The scene of a single image of the batch; it has no blend, which is of the whole."""
        start = Start({name: value[image : image + 1] for name, value in self.start.given.items()})
        return Scene(self.models, self.reads, self.original.alone(image), start, self.range)


@dataclass(frozen=True, eq=False)
class Now:
    """What a view has from the moment that it is of.

    Args:
        grown: where the target region was last seen ``[b, 1, H, W]``; zeros at first.
        step: the step in its stage, from 0.
        generators: one random generator for each image.
        memory: what events of the stage remember, by name.
    """

    grown: Mask
    step: int = 0
    generators: tuple[torch.Generator, ...] = ()
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    def alone(self, image: int) -> "Now":
        """The same of a single image of the batch."""
        memory = {name: value[image : image + 1] for name, value in self.memory.items()}
        return Now(self.grown[image : image + 1], self.step, self.generators[image : image + 1], memory)


class View(Shown):
    """What this step's latent, noise maps and other inputs show.

    Attributes:
        given: everything that is drawn from, by name, each ``[b, ...]``.
        original: the input, and what the models see in it.
        start: where the run started.
        grown: where the target region was last seen by :class:`~maskedit.schedule.GrowTarget`
            ``[b, 1, H, W]``; zeros until then.
        step: the step in its stage, from 0.
        generators: one random generator for each image: a term that draws takes its numbers from these.
        memory: what events of the stage remember, by name.
    """

    def __init__(self, scene: Scene, given: Given, now: Now) -> None:
        self._scene, self._now = scene, now
        self._models, self._reads, self._range = scene.models, scene.reads, scene.range
        self._sized, self._features = {}, {}
        self.given, self.original, self.start = given, _moved_target(scene.original, given), scene.start
        self.grown, self.step, self.generators, self.memory = now.grown, now.step, now.generators, now.memory

    @cached_property
    def latent(self) -> Latent:
        """This step's latent ``[b, *latent]``."""
        return stacked(self.given["latent"])

    @cached_property
    def noises(self) -> tuple[NoiseMap, ...]:
        """This step's maps ``[b, 1, h_i, w_i]``."""
        return noises_in(self.given)

    @property
    def picture(self) -> Image:
        """The generated picture ``[b, 3, R, R]``, at the generator's own size."""
        return self._drawn[0]

    @cached_property
    def image(self) -> Image:
        """The generated picture ``[b, 3, H, W]`` at the input's size; drawn when first read."""
        return fitted_to(self.picture, self.original.image.shape[-2:])

    @property
    def extras(self) -> Mapping[str, Tensor]:
        """What the generator shows beside the picture, by the names that terms and events declare as ``extras``."""
        return self._drawn[1]

    @cached_property
    def blended(self) -> Shown:
        """The picture as the run would return it now, and what the models see in it."""
        if self._scene.compose is None:  # the schedule was checked: a term that needs a blend has one
            raise RunError(
                "a term looks at the blended picture, which an image evaluated alone does not have",
                hint="Choose an optimiser whose step needs no closure, such as Adam.",
            )
        image = self._scene.compose(self.image)
        return Shown(models=self._models, reads=self._reads, image=image, range=self._range)

    @property
    def drawn(self) -> bool:
        """Whether anything has looked at the picture yet."""
        return "_drawn" in self.__dict__

    @property
    def latents(self) -> LatentDistribution:
        """Where plausible latents lie, on the latent's device and in its type."""
        assert self._models.latents is not None
        source = self._models.latents
        mean, components, deviations = (t.to(self.latent) for t in (source.mean, source.components, source.deviations))
        directions = {name: direction.to(self.latent) for name, direction in source.directions.items()}
        return LatentDistribution(mean, components, deviations, directions)

    @cached_property
    def _drawn(self) -> tuple[Image, Mapping[str, Tensor]]:
        image, extras = draw(self._models.generator, self.given, self._reads.extras)
        says = size_of(self._models.generator)
        if tuple(image.shape[1:]) != (3, *says):
            raise RunError(
                "the generator's picture is not of the size that it says",
                expected=str([len(image), 3, *says]),
                actual=str(list(image.shape)),
            )
        return image.to(self.original.image.dtype), extras


def see_original(models: Models, reads: Reads, image: Image, range: Range = (0.0, 1.0)) -> Shown:
    """The input as the models see it, once and without gradient.

    Raises:
        RunError: if the parser's regions are not probabilities, or a model answers more than it was asked.
    """
    original = Shown(models=models, reads=reads, image=image.detach(), range=range)
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


def fitted_to(picture: Float[Tensor, "b c h w"], size: torch.Size) -> Float[Tensor, "b c H W"]:
    """A picture or mask at another size: by area when shrinking, bilinearly when growing."""
    if picture.shape[-2:] == size:
        return picture
    if picture.shape[-1] > size[-1]:
        return F.interpolate(picture, size=size, mode="area")
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=False)


def _moved_target(original: Shown, given: Given) -> Shown:
    """The input where this step puts it, with its masks; what the classifier says of it stays."""
    if "target" not in given:
        return original
    place = stacked(given["target"])
    moved = Shown(
        models=original._models, reads=original._reads, image=placed(original.image, place), range=original._range
    )
    if original._reads.regions:
        moved.__dict__["_parsed"] = placed(original._parsed, place)
    if original._reads.attributes:
        moved.__dict__["_classified"] = original._classified
    return moved


def _misanswer(role: str, names: tuple[str, ...], expected: str, answer: object) -> RunError:
    return RunError(
        f"the {role} was asked for {', '.join(names)}",
        expected=expected,
        actual=str(list(answer.shape)) if isinstance(answer, Tensor) else type(answer).__name__,
        hint="It must answer with the names that it is asked for, in their order.",
    )


def _position(name: str, names: tuple[str, ...], kind: str) -> int:
    if name not in names:
        raise InputError(
            f"the {kind} {name!r} is read, but no term or event of the stage declares it",
            expected=f"one of {', '.join(names) or 'none'}",
            hint=f"Declare it: Term(..., {kind}s=[{name!r}]).",
        )
    return names.index(name)
