"""What a model must offer to take part in an edit.

Each protocol is a named method and the names or sizes that go with it; any object that has them will do,
and no base class is needed. Models work on a batch ``b``, keep every image independent of the others, take
and give RGB in [0, 1] (a model's own range is its own business), and let gradients through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from maskedit.types import Image, Latent, Logits, NoiseMaps, Regions


@runtime_checkable
class Generator(Protocol):
    """Turns a latent and noise maps into images."""

    @property
    def resolution(self) -> int:
        """Side of the square images, in pixels."""
        ...

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(layers, dim) of a W+ latent."""
        ...

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each noise map, coarse to fine; empty for a generator without noise."""
        ...

    def synthesize(self, latent: Latent, noises: NoiseMaps) -> Image:
        """Images for latents ``[b, layers, dim]`` and noise maps ``[b, 1, h_i, w_i]``; not clamped."""
        ...


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
