"""How sure a number is: confidence intervals by the bootstrap."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError


class Interval(NamedTuple):
    """A number, and the interval that holds what it estimates with the asked confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def mean(values: Float[Tensor, "n *_"]) -> Tensor:
    """The mean of all values that are numbers."""
    return values.nanmean()


def interval(
    *samples: Float[Tensor, "_ *_"],
    statistic: Callable[..., Tensor | float] = mean,
    kind: Literal["percentile", "centred"] = "percentile",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """A statistic of samples, and its bootstrap confidence interval (Efron and Tibshirani 1993, chapter 13).

    Rows of each sample are drawn anew, with replacement and independently of the other samples, and the statistic is
    computed of each draw. Put what belongs to one picture into one row.

    Args:
        samples: one or more ``[n, ...]``, a row for each picture.
        statistic: of as many tensors; the mean of all numbers by default.
        kind: ``"percentile"`` is the range of the draws' statistics; it keeps rates in [0, 1]. ``"centred"`` is that
            range moved so that the draws' mean is the value, for distances between sets: draws repeat pictures, so
            they lie further apart than the samples. Neither tells what a distance is too large by, as small samples'
            are.
        confidence: how much of the range, in (0, 1).
        resamples: how many draws.
        seed: of the draws.

    Raises:
        InputError: on an empty sample, or numbers out of range.

    >>> print(interval(torch.tensor([0.0, 1.0, 1.0, 1.0]), seed=1))
    0.75 [0.25, 1]
    """
    if not samples or any(len(sample) == 0 for sample in samples):
        raise InputError("there is nothing to draw from", expected="at least one row in each sample")
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(
            "confidence or resamples are out of range",
            expected="a confidence in (0, 1), at least 1 draw",
            actual=f"{confidence}, {resamples}",
        )
    if kind not in ("percentile", "centred"):
        raise InputError("unknown kind of interval", expected="'percentile' or 'centred'", actual=repr(kind))
    random = torch.Generator().manual_seed(seed)
    value = float(statistic(*samples))
    drawn = []
    for _ in range(resamples):
        rows = [torch.randint(len(sample), (len(sample),), generator=random) for sample in samples]
        drawn.append(float(statistic(*(s[r.to(s.device)] for s, r in zip(samples, rows, strict=True)))))
    tail = (1 - confidence) / 2
    draws = torch.tensor(drawn, dtype=torch.float64)
    low, high = draws.nanquantile(torch.tensor([tail, 1 - tail]).double()).tolist()
    moved = value - float(draws.nanmean()) if kind == "centred" else 0.0
    return Interval(value, low + moved, high + moved)
