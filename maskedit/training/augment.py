"""Random affine maps, colours and losses of sharpness, drawn from an explicit generator of random numbers.

Pictures are ``[b, 3, h, w]`` in [0, 1]; positions are (x, y) fractions of a picture's side.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float, UInt8
from torch import Tensor

from maskedit.attributes import REGIONS


def uniform(low: float, high: float, *shape: int, rng: torch.Generator) -> Tensor:
    """Numbers that lie anywhere between the two."""
    return torch.empty(shape).uniform_(low, high, generator=rng)


def affine(
    centre: Float[Tensor, "b 2"], side: Float[Tensor, " b"], angle: Float[Tensor, " b"], mirrored: Float[Tensor, " b"]
) -> Float[Tensor, "b 2 3"]:
    """Where square crops lie: maps a position in the crop, measured from its middle, to one in the picture.

    Args:
        centre: middle of each crop in the picture.
        side: side of each crop.
        angle: its turn in degrees.
        mirrored: 1 to mirror left and right, 0 not to.
    """
    turn = angle * (math.pi / 180)
    flip = 1 - 2 * mirrored
    rows = rearrange([turn.cos() * flip, -turn.sin(), turn.sin() * flip, turn.cos()], "(x y) b -> b x y", x=2)
    return torch.cat([rows * side[:, None, None], centre[:, :, None]], 2)


def random_affine(
    count: int,
    rng: torch.Generator,
    *,
    shift: float,
    zoom: tuple[float, float],
    degrees: float,
    mirror: bool = True,
) -> Float[Tensor, "count 2 3"]:
    """Where random crops around the middle lie.

    Args:
        count: how many.
        rng: where the random numbers are from.
        shift: the largest shift, over the picture's side.
        zoom: least and most of the logarithm of the crop's side.
        degrees: the largest turn.
        mirror: whether half of them are mirrored.
    """
    return affine(
        0.5 + uniform(-shift, shift, count, 2, rng=rng),
        uniform(*zoom, count, rng=rng).exp(),
        uniform(-degrees, degrees, count, rng=rng),
        (torch.rand(count, generator=rng) < 0.5).float() if mirror else torch.zeros(count),
    )


def warp_affine(
    images: Float[Tensor, "b c h w"], place: Float[Tensor, "b 2 3"], size: int
) -> Float[Tensor, "b c size size"]:
    """The crops, ``size`` pixels wide; what lies beyond the picture is reflected."""
    theta = place.clone()
    theta[:, :, 2] = 2 * place[:, :, 2] - 1
    grid = F.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def transform_points(points: Float[Tensor, "b n 2"], place: Float[Tensor, "b 2 3"]) -> Float[Tensor, "b n 2"]:
    """Positions in the picture as positions in the crop."""
    return (points - place[:, None, :, 2]) @ torch.linalg.inv(place[:, :, :2]).mT + 0.5


def recolour(images: Float[Tensor, "b 3 h w"], rng: torch.Generator, strength: float = 1.0) -> Float[Tensor, "b 3 h w"]:
    """Another light and camera: exposure, contrast, saturation, white balance and gamma, each by up to ~30 %."""
    b = len(images)

    def factor(spread: float, channels: int = 1) -> Tensor:
        return uniform(-spread * strength, spread * strength, b, channels, 1, 1, rng=rng).exp()

    grey = reduce(images, "b c h w -> b 1 h w", "mean")
    images = grey + (images - grey) * factor(0.35)
    level = reduce(images, "b c h w -> b 1 1 1", "mean")
    images = level + (images - level) * factor(0.25)
    images = (images * factor(0.2) * factor(0.08, 3)).clamp(0, 1)
    return images ** factor(0.25)


def degrade(images: Float[Tensor, "b 3 h w"], rng: torch.Generator, smallest: int = 32) -> Float[Tensor, "b 3 h w"]:
    """A worse picture: three in four lose resolution, to ``smallest`` pixels at most; all get a little noise."""
    size = images.shape[-1]
    lost = []
    for part in images.split(max(len(images) // 4, 1)):
        if torch.rand((), generator=rng) < 0.75:
            small = int(uniform(math.log(smallest), math.log(size), 1, rng=rng).exp().round())
            part = F.interpolate(part, size=small, mode="area")
            part = F.interpolate(part, size=size, mode="bilinear", align_corners=False)
        lost.append(part)
    noise = torch.randn(images.shape, generator=rng) * uniform(0.0, 0.03, len(images), 1, 1, 1, rng=rng)
    return (torch.cat(lost) + noise).clamp(0, 1)


def region_mask(regions: UInt8[Tensor, "b h w"], names: Sequence[str], blur: int = 2) -> Float[Tensor, "b 1 h w"]:
    """Where the named regions are, with a soft edge ``blur`` pixels wide."""
    chosen = torch.stack([regions == REGIONS.index(name) for name in names]).any(0).float()[:, None]
    return F.avg_pool2d(F.pad(chosen, (blur,) * 4, mode="replicate"), 2 * blur + 1, 1)


def one_hot(regions: UInt8[Tensor, "b h w"]) -> Float[Tensor, "b regions h w"]:
    """A map of 0 and 1 for each of ``REGIONS``."""
    return rearrange(F.one_hot(regions.long(), len(REGIONS)), "b h w regions -> b regions h w").float()
