"""When an image may stop early: rules that look at what its terms have been so far.

A rule is any callable that takes the stage's :data:`Series` and says which images stop. An image stops at the
state whose value passed: it is not moved any more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.terms import is_number

Series: TypeAlias = Mapping[str, Float[Tensor, "b t"]]
"""The stage's history so far, one column a step: ``"total"``, and each term's raw values by its name."""

StopRule: TypeAlias = Callable[[Series], Bool[Tensor, " b"]]
"""Says for each image whether it stops now."""


@dataclass(frozen=True)
class Threshold:
    """Stop an image when a value has come down to a bound.

    Args:
        of: ``"total"``, or the name of a term (its raw value).
        value: the bound.

    Raises:
        InputError: if the two are no name and no number.
    """

    of: str
    value: float | int

    def __post_init__(self) -> None:
        if not isinstance(self.of, str) or not is_number(self.value):
            raise InputError(
                "a threshold is not a name and a number",
                expected='such as Threshold("total", 0.1)',
                actual=f"{self.of!r}, {self.value!r}",
            )

    def __call__(self, series: Series) -> Bool[Tensor, " b"]:
        return series[self.of][:, -1] <= self.value

    def __str__(self) -> str:
        return f"{self.of} <= {self.value:g}"


@dataclass(frozen=True)
class Plateau:
    """Stop an image when its best value has not come down by a share of itself for some steps.

    Args:
        patience: how many steps to wait.
        tolerance: the share that counts as progress.
        of: ``"total"``, or the name of a term (its raw value).

    Raises:
        InputError: if the patience is not a number of steps.
    """

    patience: int = 20
    tolerance: float | int = 1e-3
    of: str = "total"

    def __post_init__(self) -> None:
        if not isinstance(self.patience, int) or self.patience < 1:
            raise InputError(
                "a plateau's patience is not a number of steps", expected="from 1", actual=str(self.patience)
            )

    def __call__(self, series: Series) -> Bool[Tensor, " b"]:
        values = series[self.of]
        if values.shape[1] <= self.patience:
            return torch.zeros(len(values), dtype=torch.bool, device=values.device)
        before = values[:, : -self.patience].amin(dim=1)
        recent = values[:, -self.patience :].amin(dim=1)
        return recent >= before - self.tolerance * before.abs()

    def __str__(self) -> str:
        return f"{self.of} gains < {self.tolerance:g} in {self.patience} steps"
