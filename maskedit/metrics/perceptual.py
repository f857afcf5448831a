"""How different two pictures look to a network: LPIPS, through any feature network."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.types import Image, PerSample

Features = Callable[[Image], Sequence[Float[Tensor, "b _ _ _"]]]
"""Maps RGB pictures in [0, 1] to one feature map a layer ``[b, c_i, h_i, w_i]``."""


def lpips(
    features: Features, first: Image, second: Image, *, weights: Sequence[Float[Tensor, " _"]] | None = None
) -> PerSample:
    """Learned perceptual image patch similarity (Zhang et al. 2018, eq. 1).

    Per layer, each pixel's features are brought to length 1; their squared differences are weighted by channel,
    summed over channels, averaged over pixels, and summed over layers. It is the published LPIPS only with the
    published features and weights: say which you took.

    Args:
        features: the network's layers.
        first: ``[b, 3, h, w]``.
        second: ``[b, 3, h, w]``.
        weights: one a layer ``[c_i]``; 1 for all channels by default.

    Returns:
        ``[b]``, 0 for pictures that the network cannot tell apart.

    Raises:
        InputError: if the weights do not fit the layers.
    """
    pairs = list(zip(features(first), features(second), strict=True))
    channels = [[ours.shape[1]] for ours, _ in pairs]
    if weights is not None and [list(w.shape) for w in weights] != channels:
        raise InputError(
            "the weights do not fit the layers",
            expected=f"one vector for each, of shapes {channels}",
            actual=str([list(w.shape) for w in weights]),
        )
    total = torch.zeros(len(first), device=first.device, dtype=first.dtype)
    for i, (ours, theirs) in enumerate(pairs):
        apart = (F.normalize(ours, dim=1) - F.normalize(theirs, dim=1)).square()
        if weights is not None:
            apart = apart * weights[i].to(apart)[:, None, None]
        total = total + apart.sum(1).mean((1, 2))
    return total
