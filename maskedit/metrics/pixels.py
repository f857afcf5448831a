"""How alike two pictures are, pixel by pixel, inside a mask or everywhere: PSNR and SSIM."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.types import Image, Mask, PerSample

WINDOW, SIGMA = 11, 1.5
"""SSIM's Gaussian window, in pixels."""
SMALL = 0.01**2, 0.03**2
"""SSIM's constants against division by nothing, for pictures in [0, 1]."""


def psnr(first: Image, second: Image, mask: Mask | None = None) -> PerSample:
    """Peak signal to noise ratio, in dB; infinite for pictures that are the same there.

    Args:
        first: ``[b, 3, h, w]``; what leaves [0, 1] is seen as it would be shown, clamped.
        second: ``[b, 3, h, w]``, likewise.
        mask: where to look ``[b, 1, h, w]``, weights in [0, 1]; everywhere by default. 1 less the edited region for
            what an edit left outside it.

    Returns:
        ``[b]``; NaN for an empty mask.
    """
    error = (first.clamp(0, 1) - second.clamp(0, 1)).square()
    if mask is None:
        return -10 * error.mean((1, 2, 3)).log10()
    return -10 * ((error * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))).log10()


def ssim(first: Image, second: Image, mask: Mask | None = None) -> PerSample:
    """Structural similarity (Wang et al. 2004), averaged over pixels and colours.

    Means, variances and covariance are those of an 11 px Gaussian window of standard deviation 1.5. With a mask, the
    windows see only what is inside it, so that nothing outside changes the number; at the picture's border they see
    only the picture.

    Args:
        first: ``[b, 3, h, w]``, clamped to [0, 1].
        second: ``[b, 3, h, w]``, likewise.
        mask: where to look ``[b, 1, h, w]``, weights in [0, 1]; everywhere by default.

    Returns:
        ``[b]``, 1 for pictures that are the same there; NaN for an empty mask.
    """
    x, y = first.clamp(0, 1), second.clamp(0, 1)
    weight = torch.ones_like(x[:, :1]) if mask is None else mask.to(x.dtype)
    seen = _blurred(weight)
    inside = weight > 0

    def mean(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return torch.where(inside, _blurred(values * weight) / torch.where(inside, seen, 1), 0)

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    both = mean(x * y) - mean_x * mean_y
    a, b = SMALL
    alike = (2 * mean_x * mean_y + a) * (2 * both + b) / ((mean_x**2 + mean_y**2 + a) * (var_x + var_y + b))
    return (alike.mean(1, keepdim=True) * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def _blurred(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Sums under the Gaussian window; nothing lies beyond the border."""
    c, reach = values.shape[1], WINDOW // 2
    line = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    line = torch.exp(-0.5 * (line / SIGMA) ** 2)
    line = (line / line.sum()).expand(c, 1, 1, -1)
    across = F.conv2d(values, line, padding=(0, reach), groups=c)
    return F.conv2d(across, line.mT, padding=(reach, 0), groups=c)
