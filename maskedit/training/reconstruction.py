"""How well an encoder and a generator draw photos again: the loss, and what is reported."""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.metrics import psnr
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.protocols import Encoder
from maskedit.training.sheets import sheet
from maskedit.types import Image


def pyramid_distance(
    drawn: Float[Tensor, "b 3 h w"], photos: Float[Tensor, "b 3 h w"], weight: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Weighted L1, plus 1.5 times the mean weighted L1 over the levels of a Laplacian pyramid."""
    apart, total = drawn - photos, (drawn - photos).abs().mul(weight).mean()
    bands: list[Tensor] = []
    while apart.shape[-1] > 8:
        smaller = F.avg_pool2d(apart, 2)
        band = apart - F.interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        bands.append(band.abs().mul(weight).mean())
        apart, weight = smaller, F.avg_pool2d(weight, 2)
    return total + 1.5 * sum(bands, apart.abs().mul(weight).mean())


@torch.no_grad()
def reconstruct(generator: StyleGAN2, encoder: Encoder, photos: Image) -> Image:
    """Each photo through encoder and generator, without noise."""
    return torch.cat([generator.synthesize(encoder.encode(part)) for part in photos.split(32)])


def report_reconstruction(generator: StyleGAN2, encoder: Encoder, photos: Image, path: Path, done: int) -> None:
    """Print the mean PSNR of photos drawn again, and write some of both as a sheet."""
    again = reconstruct(generator, encoder, photos)
    print(f"held-out PSNR after {done}: {psnr(again, photos).mean():.2f} dB", flush=True)
    chosen = range(0, len(photos), max(len(photos) // 12, 1))
    sheet(path, photos[chosen], again[chosen])
