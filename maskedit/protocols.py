"""What a model must offer to take part in an edit.

Each protocol is a named method and the names or sizes that go with it; any object that has them will do,
and no base class is needed. Models work on a batch ``b``, keep every image independent of the others, take
and give RGB in [0, 1] (a model's own range is its own business), and let gradients through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.types import Image, Latent, Logits, NoiseMaps, Regions


@runtime_checkable
class Generator(Protocol):
    """Turns a latent and noise maps into images."""

    @property
    def resolution(self) -> int:
        """Side of the square images, in pixels; their height, of a generator that also says its ``size``."""
        ...

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one image's latent: (layers, dim) of a W+ latent, or any other, such as (dim,) of a z."""
        ...

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each noise map, coarse to fine; empty for a generator without noise."""
        ...

    def synthesize(self, latent: Latent, noises: NoiseMaps) -> Image:
        """Images for latents ``[b, *latent_shape]`` and noise maps ``[b, 1, h_i, w_i]``; not clamped."""
        ...


@runtime_checkable
class TakesInputs(Protocol):
    """What a generator offers beside, if more may be given to it than latent and noise.

    An input has a name: ``"styles.0"``, ``"styles.1"``, ... for the styles of its layers (StyleSpace);
    ``"features.64"`` for the tensor at 64 pixels, which makes what comes before it idle; ``"class"``,
    ``"transform"``, or whatever the generator knows.
    """

    @property
    def input_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of one image's value, by name."""
        ...

    def inputs_of(self, latent: Latent, noises: NoiseMaps, names: Sequence[str]) -> Mapping[str, Tensor]:
        """What the generator takes by itself for these latents, ``[b, *shape]`` by name: where a variable starts."""
        ...

    def synthesize(self, latent: Latent, noises: NoiseMaps, inputs: Mapping[str, Tensor] = ...) -> Image:
        """Images, with the inputs that are given in place of its own."""
        ...


@runtime_checkable
class ShowsMore(Protocol):
    """What a generator offers beside, if terms may look at more than its pictures."""

    @property
    def shows(self) -> tuple[str, ...]:
        """Names of what it can show, such as ``"features.64"``."""
        ...

    def synthesize_showing(
        self, latent: Latent, noises: NoiseMaps, names: Sequence[str], inputs: Mapping[str, Tensor] = ...
    ) -> tuple[Image, dict[str, Tensor]]:
        """Images, and what was asked for, ``[b, ...]`` by name."""
        ...


@runtime_checkable
class Rectangular(Protocol):
    """What a generator offers beside, if its images are not square."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images, in pixels."""
        ...


def size_of(generator: Generator) -> tuple[int, int]:
    """(height, width) of a generator's images."""
    return generator.size if isinstance(generator, Rectangular) else (generator.resolution, generator.resolution)


@runtime_checkable
class Parser(Protocol):
    """Says which pixels belong to which region."""

    @property
    def regions(self) -> tuple[str, ...]:
        """The names that ``parse`` understands."""
        ...

    def parse(self, image: Image, regions: Sequence[str]) -> Regions:
        """Probabilities ``[b, len(regions), h, w]`` in [0, 1], at the parser's own resolution."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """Says which attributes a face has."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names that ``classify`` understands."""
        ...

    def classify(self, image: Image, attributes: Sequence[str]) -> Logits:
        """Logits ``[b, len(attributes)]``, in the order asked; only these need be computed."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Predicts the latent of an image."""

    def encode(self, image: Image) -> Latent:
        """Latents ``[b, layers, dim]``."""
        ...


@dataclass(frozen=True)
class LatentDistribution:
    """Where the latents of real pictures lie: a mean, its principal components, and what attributes change.

    Args:
        mean: the mean latent ``[layers, dim]``.
        components: orthonormal directions ``[k, layers * dim]``, by falling deviation.
        deviations: standard deviation along each direction ``[k]``, positive.
        directions: attribute -> how much a latent differs ``[layers, dim]`` between those who have it and those
            who have not, all else equal; for ``latent(along=...)``.
    """

    mean: Float[Tensor, "layers dim"]
    components: Float[Tensor, "k coordinates"]
    deviations: Float[Tensor, " k"]
    directions: Mapping[str, Float[Tensor, "layers dim"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Models:
    """The models of one edit; those that a schedule does not need may be missing.

    Args:
        generator: draws the pictures.
        parser: finds the regions.
        classifier: finds the attributes.
        encoder: gives a start for ``Problem(start="encoder")``.
        mean_latent: ``[layers, dim]``, the start for ``Problem(start="mean")``.
        latents: where plausible latents lie; for ``latent(components=...)``, ``latent(along=...)`` and
            ``latent_prior``.
    """

    generator: Generator
    parser: Parser | None = None
    classifier: Classifier | None = None
    encoder: Encoder | None = None
    mean_latent: Float[Tensor, "layers dim"] | None = None
    latents: LatentDistribution | None = None

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Models":
        """The same models on another device or in another type, as of ``nn.Module.to``: modules are moved in place.

        Args:
            device: where they shall work; None leaves them where they are.
            dtype: of their weights, and of the mean latent and the distribution; None leaves it.
        """
        how: dict[str, Any] = {
            name: value for name, value in (("device", device), ("dtype", dtype)) if value is not None
        }

        def moved(value: Any) -> Any:
            if isinstance(value, Tensor | nn.Module):
                return value.to(**how)
            if isinstance(value, Mapping):
                return {name: moved(entry) for name, entry in value.items()}
            if isinstance(value, LatentDistribution):
                return LatentDistribution(*(moved(getattr(value, field.name)) for field in fields(value)))
            return value

        return Models(**{field.name: moved(getattr(self, field.name)) for field in fields(self)})
