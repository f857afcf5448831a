"""How times are told: the median, and the spread of the middle half."""

import argparse
import statistics
from collections.abc import Sequence


def middle(times: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; of a single time, three times itself.

    >>> middle([3.0]), middle([1.0, 2.0, 3.0])
    ((3.0, 3.0, 3.0), (1.0, 2.0, 3.0))
    """
    if len(times) == 1:
        return times[0], times[0], times[0]
    low, median, high = statistics.quantiles(times, n=4)
    return low, median, high


def positive(text: str) -> int:
    """A whole number above zero, for an option."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value
