"""Variables that move tensors as they are: noise maps, styles, features, and inputs of the generator by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.protocols import TakesInputs
from maskedit.schedule.variables._moving import Moving, together
from maskedit.schedule.variables._steering import GradientChange, OptimizerFactory, Steering
from maskedit.terms import Given, Rate


@dataclass(frozen=True)
class TensorsVariable:
    """Move named tensors. Made by :func:`noise`, :func:`styles`, :func:`features` and :func:`inputs`.

    Args:
        name: what moves, in a word.
        chosen: which of ``name.0``, ``name.1``, ... move, all if None; or names as they stand, for ``inputs``.
        steering: how.
    """

    name: str
    chosen: tuple[str, ...] | None
    steering: Steering

    def gives(self, problem: Problem) -> tuple[str, ...]:
        """The names that move."""
        return self._known(problem) if self.chosen is None else self.chosen

    def check(self, problem: Problem) -> None:
        """Refuse a generator that lacks them."""
        known = self._known(problem)
        if not known:
            generator = type(problem.models.generator).__name__
            raise InputError(
                f"{self.name} cannot move" if self.name != "noise" else "noise() needs noise maps",
                expected=f"a generator that takes {self.name}",
                actual=f"{generator}, which does not",
                hint="docs/own/model.md says how a generator offers it." if self.name != "noise" else "Leave it out.",
            )
        for name in self.chosen or ():
            if name not in known:
                raise InputError(f"the generator takes no {name!r}", expected=f"one of {', '.join(known)}")

    def begin(self, given: Mapping[str, Tensor], problem: Problem) -> Moving:
        """Start moving from what is given, or from what the generator takes by itself."""
        return MovingTensors(_values(self.gives(problem), given, problem), self.steering)

    def _known(self, problem: Problem) -> tuple[str, ...]:
        generator = problem.models.generator
        if self.name == "noise":
            return tuple(f"noise.{i}" for i in range(len(generator.noise_shapes)))
        if not isinstance(generator, TakesInputs):
            return ()
        return tuple(n for n in generator.input_shapes if self.name == "inputs" or n.partition(".")[0] == self.name)

    def __str__(self) -> str:
        which = "" if self.chosen is None else ", " + " + ".join(n.removeprefix(f"{self.name}.") for n in self.chosen)
        return f"{self.name} ({self.steering}{which})"


def noise(
    lr: Rate = 0.1, *, optimizer: OptimizerFactory = torch.optim.Adam, gradient: Sequence[GradientChange] = ()
) -> TensorsVariable:
    """Move the noise maps, from where they are (zeros at first), with a fresh optimiser.

    Args:
        lr: learning rate, or a function of the step in its stage.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.
    """
    return TensorsVariable("noise", None, Steering(lr, optimizer, tuple(gradient)))


def styles(
    lr: Rate = 1e-2,
    *,
    layers: Iterable[int] | None = None,
    optimizer: OptimizerFactory = torch.optim.Adam,
    gradient: Sequence[GradientChange] = (),
) -> TensorsVariable:
    """Move the styles of the generator's layers (StyleSpace), from what the latent makes of them at first.

    Args:
        lr: learning rate, or a function of the step in its stage.
        layers: which of the styles, by number; all by default.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.
    """
    chosen = None if layers is None else tuple(f"styles.{i}" for i in sorted(set(layers)))
    return TensorsVariable("styles", chosen, Steering(lr, optimizer, tuple(gradient)))


def features(
    lr: Rate = 1e-2,
    *,
    at: int,
    optimizer: OptimizerFactory = torch.optim.Adam,
    gradient: Sequence[GradientChange] = (),
) -> TensorsVariable:
    """Move the generator's feature tensor at a resolution (F space); the rows of the latent below it stand idle.

    Args:
        lr: learning rate, or a function of the step in its stage.
        at: the resolution, in pixels.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.
    """
    return TensorsVariable("features", (f"features.{at}",), Steering(lr, optimizer, tuple(gradient)))


def inputs(
    *names: str,
    lr: Rate = 1e-2,
    optimizer: OptimizerFactory = torch.optim.Adam,
    gradient: Sequence[GradientChange] = (),
) -> TensorsVariable:
    """Move inputs of the generator by the names that it gives them, such as a class embedding or a transform.

    Args:
        names: which; none are all.
        lr: learning rate, or a function of the step in its stage.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.
    """
    return TensorsVariable("inputs", names or None, Steering(lr, optimizer, tuple(gradient)))


class MovingTensors(Moving):
    """Named tensors of every image, as they are.

    Args:
        start: ``[b, ...]`` by name.
        steering: how they move.
    """

    def __init__(self, start: Mapping[str, Tensor], steering: Steering) -> None:
        self._names = tuple(start)
        batch = len(next(iter(start.values())))
        super().__init__([[[value[i].clone() for value in start.values()]] for i in range(batch)], steering)

    def values(self, images: Sequence[int]) -> Given:
        own = [self.of_image(i) for i in images]
        return {name: together([p[k] for p in own]) for k, name in enumerate(self._names)}

    def assign(self, image: int, given: Mapping[str, Tensor]) -> None:
        for name, parameter in zip(self._names, self.of_image(image), strict=True):
            # Under autograd's feet, as the released program does: an event before the backward pass may.
            parameter.data.copy_(given[name][image])


def _values(names: Sequence[str], given: Mapping[str, Tensor], problem: Problem) -> dict[str, Tensor]:
    """Values to start from."""
    missing = [name for name in names if name not in given]
    if not missing:
        return {name: given[name] for name in names}
    generator = problem.models.generator
    assert isinstance(generator, TakesInputs)  # the schedule was checked
    maps = [given[f"noise.{i}"] for i in range(len(generator.noise_shapes))]
    with torch.no_grad():
        own = generator.inputs_of(given["latent"], maps, missing)
    return {name: given[name] if name in given else own[name].detach() for name in names}
