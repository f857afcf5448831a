"""Noise maps brought to mean 0 and standard deviation 1, as the released program does while it optimises them."""

import torch

from maskedit.losses._checks import check_floating
from maskedit.types import NoiseMap


def normalize_noise(noise: NoiseMap) -> NoiseMap:
    """Each image's map shifted and scaled to mean 0 and (unbiased) standard deviation 1.

    Args:
        noise: ``[b, 1, h, w]``, at least two pixels. A constant map becomes zeros.
    """
    check_floating(noise=noise)
    centred = noise - noise.mean(dim=(1, 2, 3), keepdim=True)
    deviation = noise.std(dim=(1, 2, 3), keepdim=True)
    return centred / deviation.clamp_min(torch.finfo(noise.dtype).tiny)
