"""What a generator draws from, by name, and the drawing.

``Given`` holds one value for each image under each name: ``"latent"``; ``"noise.0"``, ``"noise.1"``, ...; further
inputs of the generator under the names that it says (:class:`~maskedit.protocols.TakesInputs`), such as ``"styles.3"``,
``"features.64"``, ``"class"``; ``"weights.NAME"`` in place of its own parameters; ``"pixels"``, added to the picture.
Anything else is left to the terms that read it.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call

from maskedit.errors import RunError
from maskedit.protocols import Generator, ShowsMore, TakesInputs
from maskedit.types import Image, NoiseMap

Value: TypeAlias = Tensor | tuple[Tensor, ...]
"""One value for each image: a tensor ``[b, ...]``, or a tuple of b tensors where stacking would copy too much."""

Given: TypeAlias = Mapping[str, Value]
"""Everything that a generator draws from, by name."""


def draw(generator: Generator, given: Given, shows: Sequence[str] = ()) -> tuple[Image, dict[str, Tensor]]:
    """The picture ``[b, 3, h, w]``, and what else the generator shows, by name.

    Args:
        generator: what draws.
        given: what it draws from.
        shows: names that it is to show beside the picture; see :class:`~maskedit.protocols.ShowsMore`.

    Raises:
        RunError: if what it gives is no picture.
    """
    weights = {name.removeprefix("weights."): value for name, value in given.items() if name.startswith("weights.")}
    if weights:
        each = [_synthesize(generator, one(given, i), shows, _moved(weights, i)) for i in range(count(given))]
        image = torch.cat([image for image, _ in each])
        shown = {name: torch.cat([extras[name] for _, extras in each]) for name in shows}
    else:
        image, shown = _synthesize(generator, given, shows, {})
    if not isinstance(image, Tensor) or image.ndim != 4 or len(image) != count(given):
        raise RunError(
            "the generator gives no pictures",
            expected=f"a tensor [{count(given)}, 3, h, w]",
            actual=str(list(image.shape)) if isinstance(image, Tensor) else type(image).__name__,
        )
    pixels = given.get("pixels")
    return (image if pixels is None else image + stacked(pixels)), shown


def noises_in(given: Given) -> tuple[NoiseMap, ...]:
    """The noise maps, coarse to fine."""
    maps = [name for name in given if name.startswith("noise.")]
    return tuple(stacked(given[f"noise.{i}"]) for i in range(len(maps)))


def inputs_in(given: Given, generator: Generator) -> dict[str, Tensor]:
    """The generator's further inputs that are given."""
    known = generator.input_shapes if isinstance(generator, TakesInputs) else ()
    return {name: stacked(given[name]) for name in known if name in given}


def count(given: Given) -> int:
    """How many images."""
    return len(given["latent"])


def one(given: Given, image: int) -> dict[str, Value]:
    """What a single image is drawn from, as a batch of one."""
    return {name: value[image : image + 1] for name, value in given.items()}


def stacked(value: Value) -> Tensor:
    """The value as one tensor ``[b, ...]``; a single image's is not copied."""
    if isinstance(value, Tensor):
        return value
    return value[0][None] if len(value) == 1 else torch.stack(value)


def in_type_of(model: object, tensor: Tensor) -> Tensor:
    """The tensor in the type of a network's own weights, so that models of several precisions work side by side."""
    if isinstance(model, nn.Module):
        for weight in chain(model.parameters(), model.buffers()):
            if weight.is_floating_point():
                return tensor.to(weight.dtype)
    return tensor


def detached(given: Given) -> dict[str, Tensor]:
    """The same numbers without their history."""
    return {name: stacked(value).detach() for name, value in given.items()}


class _Drawing(nn.Module):
    """A generator's way from inputs to picture as a module's ``forward``, which can be called with other weights."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, given: Given, shows: Sequence[str]) -> tuple[Image, dict[str, Tensor]]:
        generator: Generator = self.generator  # type: ignore[assignment]  # a module that is one
        return _synthesize(generator, given, shows, {})


def _synthesize(
    generator: Generator, given: Given, shows: Sequence[str], weights: Mapping[str, Tensor]
) -> tuple[Image, dict[str, Tensor]]:
    if weights:
        assert isinstance(generator, nn.Module)  # the variable was checked
        own = {f"generator.{name}": value for name, value in weights.items()}
        return functional_call(_Drawing(generator), own, (_unweighted(given), tuple(shows)))
    latent = in_type_of(generator, stacked(given["latent"]))
    noises = tuple(in_type_of(generator, noise) for noise in noises_in(given))
    inputs = {name: in_type_of(generator, value) for name, value in inputs_in(given, generator).items()}
    if shows:
        assert isinstance(generator, ShowsMore)  # the schedule was checked
        return generator.synthesize_showing(latent, noises, tuple(shows), inputs)
    if inputs:
        assert isinstance(generator, TakesInputs)
        return generator.synthesize(latent, noises, inputs), {}
    return generator.synthesize(latent, noises), {}


def _unweighted(given: Given) -> dict[str, Value]:
    """What is given, without weights."""
    return {name: value for name, value in given.items() if not name.startswith("weights.")}


def _moved(weights: Mapping[str, Value], image: int) -> dict[str, Tensor]:
    """One image's weights. A frozen generator may keep what follows from its own: that these require gradient tells it
    that they are others."""
    own = {name: value[image] for name, value in weights.items()}
    return {name: weight if weight.requires_grad else weight.detach().requires_grad_() for name, weight in own.items()}
