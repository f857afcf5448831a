"""The edge of a mask, and pictures seen broadly."""

import torch.nn.functional as F
from torch import Tensor

from maskedit.types import Image, Mask


def feather(mask: Mask, softness: int) -> Mask:
    """The mask with its edge softened inwards: nowhere larger than it was, so 0 stays 0.

    The mean of the mask eroded by 0, 1, ..., ``softness`` pixels: a straight ramp that thin regions keep
    their share of, where a blur would wash them out.

    Args:
        mask: ``[b, 1, h, w]`` in [0, 1].
        softness: width of the ramp, in pixels; 0 leaves the mask as it is.
    """
    total = eroded = mask
    for _ in range(softness):
        eroded = -F.max_pool2d(-eroded, 3, stride=1, padding=1)
        total = total + eroded
    return total / (softness + 1)


def broad(picture: Image, mask: Mask, share: float) -> Image:
    """The picture averaged within the mask, over that share of the side ``[b, 3, h, w]``."""
    return lowpass(mask * picture, share) / (lowpass(mask, share) + 1e-3)


def lowpass(picture: Tensor, share: float = 1 / 32) -> Tensor:
    """The picture blurred by a Gaussian of that share of its side ``[b, c, h, w]``."""
    from kornia.filters import gaussian_blur2d

    sigma = share * picture.shape[-1]
    width = min(2 * round(3 * sigma) + 1, 2 * (picture.shape[-1] // 2) - 1, 2 * (picture.shape[-2] // 2) - 1)
    return gaussian_blur2d(picture, (width, width), (sigma, sigma))
