"""How a variable moves: its rate, its optimiser, and what is done to gradients before it sees them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from maskedit.errors import InputError
from maskedit.schedule.stopping import Series
from maskedit.terms import Rate, at, is_number, show_rate

OptimizerFactory: TypeAlias = Callable[..., torch.optim.Optimizer]
"""Makes an optimiser of a list of parameters and ``lr=``; ``functools.partial`` for its options."""

GradientChange: TypeAlias = Callable[[list[Tensor]], list[Tensor]]
"""One image's gradients, changed before the optimiser sees them."""


@dataclass(frozen=True)
class ClipNorm:
    """Gradients of one image shortened together, if they are longer than a bound.

    Args:
        largest: the L2 norm that they may have, taken over all parameters of the variable.
    """

    largest: float | int

    def __call__(self, gradients: list[Tensor]) -> list[Tensor]:
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        factor = (self.largest / (norm + 1e-12)).clamp(max=1)
        return [g * factor for g in gradients]

    def __str__(self) -> str:
        return f"norm <= {self.largest:g}"


@dataclass(frozen=True)
class OnPlateau:
    """A rate that falls when a value has not come down by a share of itself for some steps: each image by its own.

    Args:
        first: the rate at first.
        factor: what it is multiplied by, in (0, 1).
        patience: how many steps to wait.
        tolerance: the share that counts as progress.
        of: ``"total"``, or the name of a term (its raw value).

    Raises:
        InputError: if the factor is not in (0, 1).
    """

    first: float | int
    factor: float | int = 0.5
    patience: int = 20
    tolerance: float | int = 1e-3
    of: str = "total"

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise InputError("OnPlateau's factor is out of range", expected="in (0, 1)", actual=str(self.factor))

    def __call__(self, step: int) -> float:
        return float(self.first)

    def seen(self, series: Series, image: int) -> float:
        """The rate of one image after what its values did so far."""
        rate, best, waited = float(self.first), float("inf"), 0
        for value in series[self.of][image].tolist():
            if value < best - self.tolerance * abs(best) or best == float("inf"):
                best, waited = value, 0
            else:
                waited += 1
            if waited > self.patience:
                rate, waited = rate * self.factor, 0
        return rate

    def __str__(self) -> str:
        return f"{self.first:g}, x {self.factor:g} when {self.of} gains < {self.tolerance:g} in {self.patience} steps"


@dataclass(frozen=True)
class Steering:
    """How a variable moves.

    Args:
        lr: learning rate, or a function of the step in its stage; several, if the variable says so, one for each group.
        optimizer: makes the optimiser from parameters and ``lr=``. One whose ``step`` needs a closure, such as
            ``torch.optim.LBFGS``, evaluates the objective several times in a step.
        gradient: changes of the gradients before the optimiser sees them, in turn, such as :class:`ClipNorm`.

    Raises:
        InputError: if a rate is negative or no number, or the optimiser is none.
    """

    lr: Rate | tuple[Rate, ...]
    optimizer: OptimizerFactory = torch.optim.Adam
    gradient: tuple[GradientChange, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "gradient", tuple(self.gradient))
        for rate in self.rates:
            if not callable(rate) and not (is_number(rate) and rate >= 0):
                raise InputError(
                    "a learning rate cannot be used",
                    expected="a number from 0, or a function of the step",
                    actual=repr(rate),
                )
        if isinstance(self.optimizer, str) or not callable(self.optimizer):
            raise InputError(
                "the optimiser is not a class or function that makes one",
                expected="such as torch.optim.Adam, or functools.partial(torch.optim.Adam, betas=(0.9, 0.99))",
                actual=repr(self.optimizer),
            )
        if not all(callable(change) for change in self.gradient):
            raise InputError("a change of gradients cannot be called", expected="such as ClipNorm(1.0)")

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The rate of each group."""
        return self.lr if isinstance(self.lr, tuple) else (self.lr,)

    def rate(self, group: int, step: int, series: Series, image: int) -> float:
        """The rate of one group of one image's parameters at a step."""
        rate = self.rates[group if isinstance(self.lr, tuple) else 0]
        seen = getattr(rate, "seen", None)
        return float(seen(series, image)) if seen is not None else at(rate, step)

    def begin(self, groups: Sequence[Sequence[Tensor]]) -> torch.optim.Optimizer:
        """A fresh optimiser over one image's parameters, in groups with a rate each."""
        if len(groups) == 1:
            return self.optimizer(list(groups[0]), lr=at(self.rates[0], 0))
        rates = [at(self.rates[i if isinstance(self.lr, tuple) else 0], 0) for i in range(len(groups))]
        return self.optimizer([{"params": list(g), "lr": rate} for g, rate in zip(groups, rates, strict=True)], lr=0.0)

    def __str__(self) -> str:
        lr = ", ".join(_show(rate) for rate in self.rates)
        lr = f"({lr})" if isinstance(self.lr, tuple) else lr
        changes = "".join(f", {change}" for change in self.gradient)
        return f"{_show_optimizer(self.optimizer)}, lr {lr}{changes}"


def _show(rate: Rate) -> str:
    return str(rate) if hasattr(rate, "seen") else show_rate(rate)


def _show_optimizer(factory: OptimizerFactory) -> str:
    options = factory.keywords if isinstance(factory, functools.partial) else {}
    plain = factory.func if isinstance(factory, functools.partial) else factory
    name = getattr(plain, "__name__", repr(plain))
    return ", ".join([name, *(f"{key} {value}" for key, value in options.items())])
