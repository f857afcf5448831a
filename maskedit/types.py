"""Names for the tensors that maskedit passes around.

Shapes read left to right: ``b`` images in the batch, ``h`` x ``w`` pixels. A name that occurs twice in
one signature must have one size there; an underscore may be anything.
"""

from collections.abc import Sequence
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Image: TypeAlias = Float[Tensor, "b 3 h w"]
"""RGB, in [0, 1]."""

Mask: TypeAlias = Float[Tensor, "b 1 h w"]
"""How much each pixel belongs, in [0, 1]."""

Regions: TypeAlias = Float[Tensor, "b regions _ _"]
"""One mask per region name that was asked for, in that order."""

Latent: TypeAlias = Float[Tensor, "b *latent"]
"""A latent: W+ codes ``[b, layers, dim]`` of most generators, or whatever shape theirs is."""

NoiseMap: TypeAlias = Float[Tensor, "b 1 _ _"]
"""One noise input of the generator; each has a size of its own."""

NoiseMaps: TypeAlias = Sequence[Float[Tensor, "b 1 _ _"]]
"""All noise inputs of the generator, coarse to fine."""

Logits: TypeAlias = Float[Tensor, "b attributes"]
"""One logit per attribute name that was asked for, in that order."""

PerSample: TypeAlias = Float[Tensor, " b"]
"""One value per image."""
