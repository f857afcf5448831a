"""StyleGAN2's filters: features and pictures are doubled by zeros between their pixels and a filter along both axes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.models.networks import fused

DEFAULT_TAPS = (1.0, 3.0, 3.0, 1.0)


def upsample(x: Float[Tensor, "b c h w"], taps: Sequence[float] = DEFAULT_TAPS) -> Float[Tensor, "b c h2 w2"]:
    """Twice the size, with zeros beyond the border. By [1, 3, 3, 1] it is bilinear interpolation."""
    if tuple(taps) == DEFAULT_TAPS:
        return F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[:, :, 2:-2, 2:-2]
    channels, count = x.shape[1], len(taps)
    y = F.conv_transpose2d(x, _kernel(x, taps), stride=2, groups=channels)
    first = count // 2 - 1
    rows, columns = ((-first, 2 * size + first - full) for size, full in zip(x.shape[2:], y.shape[2:], strict=True))
    return F.pad(y, (*columns, *rows))


def blur(x: Float[Tensor, "b c h1 w1"], taps: Sequence[float] = DEFAULT_TAPS) -> Float[Tensor, "b c h w"]:
    """The filter after a transposed convolution of 3x3, of total gain 4: a row and a column fewer come out."""
    if tuple(taps) == DEFAULT_TAPS:
        return fused.blur(x)
    count = len(taps)
    sides = ((count - 1) // 2, count // 2 - 1)
    kernel = _kernel(x, taps).flip(2, 3)  # torch's convolution is a correlation
    return F.conv2d(F.pad(x, sides * 2), kernel, groups=x.shape[1])


def _kernel(x: Tensor, taps: Sequence[float]) -> Tensor:
    """The filter along both axes for each channel, of total gain 4."""
    along = torch.tensor(taps, dtype=x.dtype, device=x.device)
    along = along * (2 / along.sum())
    return along.outer(along).expand(x.shape[1], 1, -1, -1)
