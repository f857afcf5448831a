"""What the metrics ask of sets of features: enough rows, the same width, finite numbers."""

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError


def feature_sets(*sets: Float[Tensor, "_ _"], needed: int, metric: str) -> tuple[Float[Tensor, "_ d"], ...]:
    """The sets in float64 on the CPU, where sums of squares keep their digits (an MPS device has no float64).

    Raises:
        InputError: on too few rows, sets of different widths, or numbers that are not finite.
    """
    for features in sets:
        if len(features) < needed:
            raise InputError(
                f"too few pictures for {metric}", expected=f"at least {needed} in each set", actual=str(len(features))
            )
        if features.shape[1] != sets[0].shape[1]:
            raise InputError(
                "the sets have features of different networks",
                expected=f"[n, {sets[0].shape[1]}]",
                actual=str(list(features.shape)),
            )
        if not bool(features.isfinite().all()):
            raise InputError("some features are not finite", hint="Look for pictures that the network cannot see.")
    return tuple(features.detach().cpu().to(torch.float64) for features in sets)
