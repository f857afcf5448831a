"""Numbers that may change while a stage runs: weights and learning rates."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import TypeAlias

from torch import nn

from maskedit.errors import InputError

Rate: TypeAlias = float | int | Callable[[int], float]
"""A number, or a function of the step in its stage (from 0)."""


def is_number(value: object) -> bool:
    """Whether it is a finite number; numpy's are some too, truth values are none."""
    if isinstance(value, bool):
        return False
    return isinstance(value, Real) and math.isfinite(value)


def at(rate: Rate, step: int) -> float:
    """The value of a rate at a step of its stage."""
    return float(rate(step)) if callable(rate) else float(rate)


def show_rate(rate: Rate) -> str:
    """How a rate is printed: its number, or the function's name."""
    if callable(rate):
        return getattr(rate, "__qualname__", None) or repr(rate)
    return f"{rate:g}"


@dataclass(frozen=True)
class _Product:
    """Two rates multiplied, at least one of them a function."""

    first: Rate
    second: Rate

    def __call__(self, step: int) -> float:
        return at(self.first, step) * at(self.second, step)

    def __repr__(self) -> str:
        return f"{show_rate(self.first)}*{show_rate(self.second)}"


def product(first: Rate, second: Rate) -> Rate:
    """Two rates multiplied: a number if both are, else a function of the step.

    Raises:
        InputError: if the second is neither a number nor a function.
    """
    number = is_number(second)
    if isinstance(second, nn.Module | type) or not (callable(second) or number):
        raise InputError(
            "a term is weighted by something else than a weight",
            expected="a finite number, or a function of the step",
            actual=type(second).__name__ if callable(second) else repr(second),
        )
    if not callable(first) and not callable(second):
        return float(first) * float(second)
    if first == 1.0 or second == 1.0:
        return second if first == 1.0 else first
    return _Product(first, second)
