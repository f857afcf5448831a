"""Eq. 11: keep noise maps white."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.losses._checks import check_floating, full, shape_text
from maskedit.types import NoiseMaps, PerSample


def noise_autocorrelation(noises: NoiseMaps) -> PerSample:
    """How far noise maps are from white: their correlation with themselves one pixel on (Eq. 11).

    Summed over maps and over the levels of each map's pyramid (halved by 2 x 2 means while larger than
    8 px): ``mean(n * shift_x(n))^2 + mean(n * shift_y(n))^2``, wrapped around. The squares are missing in
    the printed equation.

    Args:
        noises: maps ``[b, 1, h_i, h_i]``, square, each side halving to 8 px or less without a remainder.

    Returns:
        ``[b]``.

    Raises:
        InputError: on no maps, maps of different batches, or maps that are not square or do not halve.
    """
    if not noises:
        raise InputError("no noise maps", expected="at least one", hint="A generator without noise needs no such term.")
    total = torch.zeros((), device=noises[0].device)
    for position, noise in enumerate(noises):
        _check_noise(position, noise, batch=noises[0].shape[0])
        level = full(noise)
        while True:
            for dim in (2, 3):
                total = total + (level * level.roll(1, dims=dim)).mean(dim=(1, 2, 3)).square()
            if level.shape[-1] <= 8:
                break
            level = F.avg_pool2d(level, 2)
    return total


class NoiseAutocorrelation(nn.Module):
    """Keep noise maps white: Eq. 11, :func:`~maskedit.functional.noise_autocorrelation`.

    Example:
        >>> import torch
        >>> NoiseAutocorrelation()([torch.ones(1, 1, 8, 8)])
        tensor([2.])
    """

    def forward(self, noises: NoiseMaps) -> PerSample:
        """The squared correlations of each map with itself one pixel on, summed over maps and levels.

        Args:
            noises: maps ``[b, 1, side_i, side_i]``, each side halving to 8 px or less without a remainder.

        Returns:
            ``[b]``, zero for maps of zeros.
        """
        return noise_autocorrelation(noises)


def _check_noise(position: int, noise: Tensor, batch: int) -> None:
    check_floating(**{f"noise map {position}": noise})
    if noise.ndim != 4 or noise.shape[0] != batch or noise.shape[1] != 1 or noise.shape[2] != noise.shape[3]:
        raise InputError(
            f"noise map {position} cannot be used",
            expected=f"[{batch}, 1, side, side]",
            actual=shape_text(noise),
            hint="The pyramid of Eq. 11 is defined for square maps.",
        )
    side = noise.shape[-1]
    while side > 8:
        if side % 2:
            raise InputError(
                f"noise map {position} cannot be halved down to 8 px",
                expected="a side such as 4, 8, 16, 32, ...",
                actual=f"{noise.shape[-1]}",
            )
        side //= 2
