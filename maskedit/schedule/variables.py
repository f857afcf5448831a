"""What a stage may change: the latent, the noise maps, or nothing new.

Each image has parameters and an optimiser of its own, so that nothing can mix the images of a batch, not
even an optimiser with statistics over all its parameters, and an image that has stopped is not stepped.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.protocols import LatentDistribution
from maskedit.terms import Rate, at, show_rate
from maskedit.types import Latent, NoiseMap

OptimizerFactory: TypeAlias = Callable[..., torch.optim.Optimizer]
"""Makes an optimiser of a list of parameters and ``lr=``; ``functools.partial`` for its options."""


@dataclass(frozen=True)
class LatentVariable:
    """Move the latent. Made by :func:`latent`."""

    lr: Rate
    layers: tuple[int, ...] | None
    components: int | None
    along: tuple[str, ...] | None
    optimizer: OptimizerFactory

    def begin(self, latent: Latent, noises: Sequence[NoiseMap], latents: LatentDistribution | None) -> "Moving":
        """Start moving from this latent, with a fresh optimiser."""
        if self.components is None and self.along is None:
            return _MovingLatent(self, latent)
        assert latents is not None  # the schedule was checked against the problem
        if self.along is not None:
            return _MovingCoordinates(self, latent, torch.stack([latents.directions[name] for name in self.along]))
        spread = latents.components[: self.components] * latents.deviations[: self.components, None]
        return _MovingCoordinates(self, latent, spread.unflatten(1, latent.shape[1:]))

    def __str__(self) -> str:
        part = "" if self.layers is None else f", layers {_ranges(self.layers)}"
        part += "" if self.components is None else f", {self.components} components"
        part += "" if self.along is None else f", along {' + '.join(self.along)}"
        return f"latent ({_show_optimizer(self.optimizer)}, lr {show_rate(self.lr)}{part})"


@dataclass(frozen=True)
class NoiseVariable:
    """Move the noise maps. Made by :func:`noise`."""

    lr: Rate
    optimizer: OptimizerFactory

    def begin(self, latent: Latent, noises: Sequence[NoiseMap], latents: LatentDistribution | None) -> "Moving":
        """Start moving from these maps, with a fresh optimiser."""
        return _MovingNoise(self, noises)

    def __str__(self) -> str:
        return f"noise ({_show_optimizer(self.optimizer)}, lr {show_rate(self.lr)})"


@dataclass(frozen=True)
class Unchanged:
    """Go on with the last stage's variables and their optimisers' moments. Made by :func:`unchanged`."""

    def __str__(self) -> str:
        return "unchanged"


Variable: TypeAlias = LatentVariable | NoiseVariable


def latent(
    lr: Rate = 1e-3,
    *,
    layers: Iterable[int] | None = None,
    components: int | None = None,
    along: Sequence[str] | None = None,
    optimizer: OptimizerFactory = torch.optim.Adam,
) -> LatentVariable:
    """Move the latent, from where it is, with a fresh optimiser.

    Args:
        lr: learning rate, or a function of the step in its stage.
        layers: the W+ layers to move, all by default.
        components: move along this many principal components of ``Models.latents`` instead, in units of
            their standard deviations.
        along: move along what these attributes change in ``Models.latents`` instead, one number for each: 1 is the
            difference between those who have it and those who have not.
        optimizer: makes the optimiser from parameters and ``lr=``; its ``step`` must need no closure.

    Raises:
        InputError: if more than one of layers, components and along is given, or what is given cannot be right.
    """
    if sum(choice is not None for choice in (layers, components, along)) > 1:
        raise InputError("latent() moves layers, components or along attributes", expected="one of the three")
    chosen = None if layers is None else tuple(sorted(set(layers)))
    if chosen is not None and (not chosen or chosen[0] < 0):
        raise InputError("latent() moves no layer", expected="layer numbers from 0", actual=str(list(chosen)))
    if components is not None and components < 1:
        raise InputError("latent() moves no component", expected="components >= 1", actual=str(components))
    if along is not None and (isinstance(along, str) or not along):
        raise InputError("latent() moves along no attributes", expected="a list of names", actual=repr(along))
    return LatentVariable(lr, chosen, components, None if along is None else tuple(along), optimizer)


def noise(lr: Rate = 0.1, *, optimizer: OptimizerFactory = torch.optim.Adam) -> NoiseVariable:
    """Move the noise maps, from where they are (zeros at first), with a fresh optimiser.

    Args:
        lr: learning rate, or a function of the step in its stage.
        optimizer: makes the optimiser from parameters and ``lr=``; its ``step`` must need no closure.
    """
    return NoiseVariable(lr, optimizer)


def unchanged() -> Unchanged:
    """Go on with the last stage's variables; their optimisers keep their moments."""
    return Unchanged()


class Moving:
    """A variable in motion: parameters for each image, and their optimiser. Only the loop uses it.

    Attributes:
        variable: what it moves, and how fast.
        parameters: for each image, its tensors.
        optimizers: one for each image, over its tensors.
    """

    moves: str

    def __init__(self, variable: Variable, parameters: list[list[Tensor]]) -> None:
        self.variable = variable
        self.parameters = [[nn.Parameter(p.detach().clone()) for p in image] for image in parameters]
        self.optimizers = [variable.optimizer(list(image), lr=at(variable.lr, 0)) for image in self.parameters]
        first = self.optimizers[0]
        if any(p.default is p.empty for p in inspect.signature(first.step).parameters.values()):
            raise InputError(
                f"{type(first).__name__} cannot be used",
                expected="an optimiser whose step() needs no closure",
                hint="Evaluating a closure several times would be several steps; choose Adam, SGD, RMSprop, ...",
            )

    def gradient_is_finite(self) -> Bool[Tensor, " b"]:
        """For each image, whether its gradient is finite."""
        # A sum is finite only if all its parts are: one cheap pass over each map.
        return torch.stack(
            [
                torch.stack([p.grad.sum().isfinite() for p in image if p.grad is not None]).all()
                if any(p.grad is not None for p in image)
                else torch.ones((), dtype=torch.bool, device=image[0].device)
                for image in self.parameters
            ]
        )

    def step(self, step: int, active: Sequence[bool]) -> None:
        """One step of the optimiser, for the images that are active."""
        rate = at(self.variable.lr, step)
        for optimizer, moves in zip(self.optimizers, active, strict=True):
            if moves:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def latent(self) -> Latent | None:
        """The latent that the parameters say, if they say one."""
        return None

    def noises(self) -> list[NoiseMap] | None:
        """The noise maps that the parameters say, if they say any."""
        return None

    def assign(self, image: int, latent: Latent, noises: Sequence[NoiseMap]) -> None:
        """Make the parameters of one image say this latent or these maps."""
        raise NotImplementedError

    def base(self) -> Tensor | None:
        """What the parameters are relative to, if anything: saved beside them."""
        return None


class _MovingLatent(Moving):
    """The latent itself, or some of its layers."""

    def __init__(self, variable: LatentVariable, latent: Latent) -> None:
        self._base = latent.detach().clone()
        self._layers = list(range(latent.shape[1])) if variable.layers is None else list(variable.layers)
        super().__init__(variable, [[w[self._layers]] for w in latent])

    def latent(self) -> Latent:
        rows = torch.stack([p for (p,) in self.parameters])
        if len(self._layers) == self._base.shape[1]:
            return rows
        return self._base.index_copy(1, torch.tensor(self._layers, device=rows.device), rows)

    @torch.no_grad()
    def assign(self, image: int, latent: Latent, noises: Sequence[NoiseMap]) -> None:
        self._base[image] = latent[image]
        self.parameters[image][0].copy_(latent[image, self._layers])

    def base(self) -> Tensor:
        return self._base


class _MovingCoordinates(Moving):
    """Coordinates along some directions, from a base latent."""

    def __init__(self, variable: LatentVariable, latent: Latent, directions: Float[Tensor, "k layers dim"]) -> None:
        self._base = latent.detach().clone()
        self._directions = directions.to(latent)
        super().__init__(variable, [[latent.new_zeros(len(directions))] for _ in latent])

    def latent(self) -> Latent:
        return self._base + self._offset(torch.stack([p for (p,) in self.parameters]))

    @torch.no_grad()
    def assign(self, image: int, latent: Latent, noises: Sequence[NoiseMap]) -> None:
        self._base[image] = latent[image] - self._offset(self.parameters[image][0][None])[0]

    def base(self) -> Tensor:
        return self._base

    def _offset(self, scores: Tensor) -> Tensor:
        return torch.einsum("bk,kld->bld", scores, self._directions)


class _MovingNoise(Moving):
    """Every noise map of every image."""

    def __init__(self, variable: NoiseVariable, noises: Sequence[NoiseMap]) -> None:
        super().__init__(variable, [[noise[i] for noise in noises] for i in range(len(noises[0]))])

    def noises(self) -> list[NoiseMap]:
        return [torch.stack(maps) for maps in zip(*self.parameters, strict=True)]

    @torch.no_grad()
    def assign(self, image: int, latent: Latent, noises: Sequence[NoiseMap]) -> None:
        for parameter, noise in zip(self.parameters[image], noises, strict=True):
            # Under autograd's feet, as the released program does: an event before the backward pass may.
            parameter.data.copy_(noise[image])


def _show_optimizer(factory: OptimizerFactory) -> str:
    options = getattr(factory, "keywords", {})
    name = getattr(getattr(factory, "func", factory), "__name__", repr(factory))
    return ", ".join([name, *(f"{key} {value}" for key, value in options.items())])


def _ranges(numbers: Sequence[int]) -> str:
    """0, 1, 2, 5 as '0-2, 5'."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
