"""Variables that begin as zeros: a change of the picture's own pixels, and the target's place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from maskedit.problem import Problem
from maskedit.protocols import size_of
from maskedit.schedule.variables._moving import Moving
from maskedit.schedule.variables._steering import GradientChange, OptimizerFactory, Steering
from maskedit.schedule.variables._tensors import MovingTensors
from maskedit.terms import PLACE, Rate


@dataclass(frozen=True)
class AdditionVariable:
    """Move something that begins as zeros. Made by :func:`pixels` and :func:`target_place`."""

    name: Literal["pixels", "target"]
    steering: Steering

    def gives(self, problem: Problem) -> tuple[str, ...]:
        """Its own name."""
        return (self.name,)

    def check(self, problem: Problem) -> None:
        """Every problem has pixels, and a target."""

    def begin(self, given: Mapping[str, Tensor], problem: Problem) -> Moving:
        """Start from what is given, or from zeros."""
        batch, like = problem.batch, given["latent"]
        shape = (3, *size_of(problem.models.generator)) if self.name == "pixels" else (len(PLACE),)
        start = given[self.name] if self.name in given else like.new_zeros(batch, *shape)
        return MovingTensors({self.name: start}, self.steering)

    def __str__(self) -> str:
        return f"{self.name} ({self.steering})"


def pixels(
    lr: Rate = 1e-2, *, optimizer: OptimizerFactory = torch.optim.Adam, gradient: Sequence[GradientChange] = ()
) -> AdditionVariable:
    """Move a change that is added to the generated picture, zero at first.

    Args:
        lr: learning rate, or a function of the step in its stage.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.
    """
    return AdditionVariable("pixels", Steering(lr, optimizer, tuple(gradient)))


def target_place(
    lr: Rate = 1e-3, *, optimizer: OptimizerFactory = torch.optim.Adam, gradient: Sequence[GradientChange] = ()
) -> AdditionVariable:
    """Move the input, with its masks, to where the generator can draw it: two shifts, a scale, an angle.

    The numbers are those of :data:`maskedit.terms.PLACE`, zero at first; terms see the moved input as
    ``view.original``.

    Args:
        lr: learning rate, or a function of the step in its stage.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.
    """
    return AdditionVariable("target", Steering(lr, optimizer, tuple(gradient)))
