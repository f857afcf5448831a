"""A target that moves: shifted, scaled and turned, by numbers that can be found together with the latent."""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

PLACE = ("shift to the right", "shift downwards", "log of the scale", "angle")
"""The four numbers of a placement: two shifts in parts of width and height, a logarithm, radians clockwise."""


def placed(picture: Float[Tensor, "b c h w"], place: Float[Tensor, "b 4"]) -> Float[Tensor, "b c h w"]:
    """The picture moved: scaled and turned about its middle, then shifted; its border is repeated beyond it.

    Differentiable in the placement. All zeros leave the picture as it is.

    Args:
        picture: ``[b, c, h, w]``.
        place: for each image the numbers of ``PLACE``.
    """
    height, width = picture.shape[-2:]
    right, down, growth, angle = place.unbind(dim=1)
    shrink, aspect = torch.exp(-growth), width / height
    cos, sin = shrink * angle.cos(), shrink * angle.sin()
    # From where in the picture each pixel comes, in coordinates from -1 to 1 whose units differ along the two axes.
    back = rearrange([cos, sin / aspect, -sin * aspect, cos], "(to of) b -> b to of", to=2)
    shift = -einsum(back, 2 * rearrange([right, down], "of b -> b of"), "b to of, b of -> b to")
    theta = torch.cat([back, shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta.to(picture), list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
