"""CIE Lab, to measure colours as people see them, and dyeing of a region in it."""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

TO_XYZ = ((0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0178, 0.1094, 0.8727))
"""Linear sRGB to XYZ over the white point D65."""


def lab(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """CIE Lab of sRGB in [0, 1]."""
    linear = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)
    xyz = einsum(linear.new_tensor(TO_XYZ), linear, "i j, b j h w -> b i h w")
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def rgb(colours: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """sRGB of CIE Lab, clamped to [0, 1]."""
    y = (colours[:, 0] + 16) / 116
    f = torch.stack([y + colours[:, 1] / 500, y, y - colours[:, 2] / 200], 1)
    xyz = torch.where(f > 0.2069, f**3, (f - 16 / 116) / 7.787)
    linear = einsum(torch.linalg.inv(xyz.new_tensor(TO_XYZ)), xyz, "i j, b j h w -> b i h w").clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-6) ** (1 / 2.4) - 0.055)


def dye(
    images: Float[Tensor, "b 3 h w"],
    region: Float[Tensor, "b 1 h w"],
    before: Float[Tensor, "b 3"],
    after: Float[Tensor, "b 3"],
) -> Float[Tensor, "b 3 h w"]:
    """The pictures with a region's colour moved, strands and shadows kept.

    Args:
        images: RGB in [0, 1].
        region: how much each pixel takes part.
        before: the region's typical Lab colour, as it is.
        after: what it becomes.
    """
    colours = lab(images)
    contrast = ((after[:, :1] + 10) / (before[:, :1] + 10)).clamp(0.3, 2.0).sqrt()
    scale = torch.cat([contrast, torch.ones_like(before[:, 1:])], 1)
    before, after, scale = (rearrange(x, "b c -> b c 1 1") for x in (before, after, scale))
    return rgb(colours + region * (after + (colours - before) * scale - colours))
