"""Coefficients between two latents as a variable (Barbershop's blend)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.schedule.variables._moving import Moving, together
from maskedit.schedule.variables._steering import GradientChange, OptimizerFactory, Steering
from maskedit.terms import Given, Rate


@dataclass(frozen=True, eq=False)
class MixVariable:
    """Move coefficients between two latents. Made by :func:`mix`."""

    steering: Steering
    first: Tensor
    second: Tensor
    each: Literal["number", "layer", "latent"]

    name = "mix"

    def gives(self, problem: Problem) -> tuple[str, ...]:
        """The latent, and the coefficients themselves."""
        return ("latent", "mix")

    def check(self, problem: Problem) -> None:
        """Refuse latents that are not of this generator or batch."""
        shape = tuple(problem.models.generator.latent_shape)
        for value in (self.first, self.second):
            if tuple(value.shape[1:]) != shape or len(value) not in (1, problem.batch):
                raise InputError(
                    "mix() goes between two latents of this generator",
                    expected=str([problem.batch, *shape]),
                    actual=str(list(value.shape)),
                )

    def begin(self, given: Mapping[str, Tensor], problem: Problem) -> Moving:
        """Start at the coefficients that are given, zeros at first: the first latent."""
        latent = given["latent"]
        first, second = (value.to(latent).expand_as(latent) for value in (self.first, self.second))
        keep = {"number": latent.ndim, "layer": 2, "latent": 1}[self.each]
        blank = latent.new_zeros(*latent.shape[:keep], *[1] * (latent.ndim - keep))
        start = given["mix"] if "mix" in given and given["mix"].shape == blank.shape else blank
        return _MovingMix(start, first, second, self.steering)

    def __str__(self) -> str:
        return f"mix ({self.steering}, a coefficient for each {self.each})"


def mix(
    first: Tensor,
    second: Tensor,
    lr: Rate = 1e-2,
    *,
    each: Literal["number", "layer", "latent"] = "number",
    optimizer: OptimizerFactory = torch.optim.Adam,
    gradient: Sequence[GradientChange] = (),
) -> MixVariable:
    """Move between two latents: ``first + c (second - first)``, with c held in [0, 1] after each step, 0 at first.

    Args:
        first: latents ``[b, *latent]``, or ``[1, *latent]`` for all.
        second: the same.
        lr: learning rate, or a function of the step in its stage.
        each: what has a coefficient of its own: each number of the latent, each layer, or the latent as a whole.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.

    Raises:
        InputError: if ``each`` is something else.
    """
    if each not in ("number", "layer", "latent"):
        raise InputError("mix() knows no such coefficient", expected="'number', 'layer' or 'latent'", actual=repr(each))
    return MixVariable(Steering(lr, optimizer, tuple(gradient)), first.detach(), second.detach(), each)


class _MovingMix(Moving):
    """Coefficients, from one latent to another."""

    def __init__(self, start: Tensor, first: Tensor, second: Tensor, steering: Steering) -> None:
        self._first, self._way = first, second - first
        super().__init__([[[c.clone()]] for c in start], steering)

    def values(self, images: Sequence[int]) -> Given:
        chosen, coefficients = list(images), together([self.of_image(i)[0] for i in images])
        return {"latent": self._first[chosen] + coefficients * self._way[chosen], "mix": coefficients}

    @torch.no_grad()
    def assign(self, image: int, given: Mapping[str, Tensor]) -> None:
        self.of_image(image)[0].copy_(given["mix"][image])

    @torch.no_grad()
    def project(self, image: int) -> None:
        self.of_image(image)[0].clamp_(0, 1)
