"""The low-pass filters of StyleGAN3 (Karras et al. 2021, appendix C.1): Kaiser's window times an ideal filter."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def lowpass(taps: int, *, cutoff: float, width: float, rate: int) -> Float[Tensor, " taps"]:
    """A filter along one axis that sums to 1.

    Args:
        taps: how many numbers.
        cutoff: the frequency up to which it passes.
        width: of the transition to what it stops.
        rate: pixels per unit of length.
    """
    at = _centred(taps)
    return _scaled(_window(taps, width, rate) * torch.special.sinc(2 * cutoff / rate * at))


def radial_lowpass(taps: int, *, cutoff: float, width: float, rate: int) -> Float[Tensor, "taps taps"]:
    """The filter of both axes that passes a disc of frequencies; arguments as in :func:`lowpass`."""
    at, window = _centred(taps) / rate, _window(taps, width, rate)
    distance = torch.hypot(at[:, None], at)
    ideal = torch.special.bessel_j1(2 * math.pi * cutoff * distance) / (math.pi * distance)
    # An odd filter has a tap in the middle, where the quotient is its limit.
    return _scaled(torch.where(distance > 0, ideal, cutoff) * window.outer(window))


def _centred(taps: int) -> Tensor:
    return torch.arange(taps, dtype=torch.float64, device="cpu") - (taps - 1) / 2


def _window(taps: int, width: float, rate: int) -> Tensor:
    """Kaiser's, of the shape that his formula gives for the attenuation within reach."""
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation > 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    return torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float64, device="cpu")


def _scaled(filter: Tensor) -> Tensor:
    return (filter / filter.sum()).float()
