"""Noise maps brought to mean 0 and standard deviation 1, as the released program does while it optimises them."""

import torch

from maskedit.losses._checks import check_floating
from maskedit.types import NoiseMap


def normalize_noise(noise: NoiseMap, *, unbiased: bool = True) -> NoiseMap:
    """Each image's map shifted and scaled to mean 0 and standard deviation 1.

    Args:
        noise: ``[b, 1, h, w]``, at least two pixels. A constant map becomes zeros.
        unbiased: divide by the unbiased deviation, as the released program does; False divides by the root of the
            mean square, as StyleGAN2-ADA's projector does.
    """
    check_floating(noise=noise)
    centred = noise - noise.mean(dim=(1, 2, 3), keepdim=True)
    deviation = noise.std(dim=(1, 2, 3), keepdim=True, correction=int(unbiased))
    # What is left of a constant map is its mean's rounding, which must not be taken for a map.
    rounding = 8 * torch.finfo(noise.dtype).eps * noise.abs().amax(dim=(1, 2, 3), keepdim=True)
    tiny = torch.finfo(noise.dtype).tiny
    return torch.where(deviation > rounding, centred / deviation.clamp_min(tiny), torch.zeros_like(centred))
