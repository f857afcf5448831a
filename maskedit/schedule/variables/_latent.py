"""The latent as a variable: rows of W+, one W, principal components, or what attributes change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.schedule.variables._moving import Moving, together
from maskedit.schedule.variables._steering import GradientChange, OptimizerFactory, Steering
from maskedit.terms import Given, Rate, at, show_rate

Shake: TypeAlias = Rate
"""Standard deviation of the noise on w for the forward pass, as a number or a function of the step in its stage."""


@dataclass(frozen=True)
class LatentVariable:
    """Move the latent. Made by :func:`latent`."""

    steering: Steering
    space: Literal["w+", "w"]
    layers: tuple[int, ...] | None
    components: int | None
    along: tuple[str, ...] | None
    noise_on_w: Shake

    name = "latent"

    def gives(self, problem: Problem) -> tuple[str, ...]:
        """It decides the latent."""
        return ("latent",)

    def check(self, problem: Problem) -> None:
        """Refuse layers, components or directions that the generator or its latents do not have."""
        models = problem.models
        shape = tuple(models.generator.latent_shape)
        if len(shape) < 2 and (self.space == "w" or self.layers is not None or len(self.steering.rates) > 1):
            raise InputError("this latent has no rows", expected="a W+ latent [layers, dim]", actual=str(list(shape)))
        if self.layers is not None and self.layers[-1] >= shape[0]:
            raise InputError(f"latent() moves layer {self.layers[-1]}", expected=f"layers from 0 to {shape[0] - 1}")
        rows = shape[0] if self.layers is None else len(self.layers)
        if len(self.steering.rates) > 1 and len(self.steering.rates) != rows:
            raise InputError(
                "latent() has a rate for each layer", expected=f"{rows} rates", actual=str(len(self.steering.rates))
            )
        if self.components is None and self.along is None:
            return
        if models.latents is None:
            raise InputError("latent() needs a latent distribution", actual="models.latents is None")
        if self.components is not None and self.components > len(models.latents.deviations):
            raise InputError(
                f"latent() moves {self.components} components", expected=f"at most {len(models.latents.deviations)}"
            )
        known = tuple(models.latents.directions)
        for name in self.along or ():
            if name not in known:
                raise InputError(
                    f"latent() moves along {name!r}",
                    expected=f"one of {', '.join(known)}" if known else "a distribution with directions",
                    hint="Move along principal components, which need no labels: components=24.",
                )

    def begin(self, given: Mapping[str, Tensor], problem: Problem) -> Moving:
        """Start moving from this latent, with a fresh optimiser."""
        latent, latents = given["latent"], problem.models.latents
        if self.space == "w":
            return _MovingW(self, latent)
        if self.components is None and self.along is None:
            return _MovingRows(self, latent)
        assert latents is not None  # the schedule was checked against the problem
        if self.along is not None:
            return _MovingCoordinates(self, latent, torch.stack([latents.directions[name] for name in self.along]))
        spread = latents.components[: self.components] * latents.deviations[: self.components, None]
        return _MovingCoordinates(self, latent, spread.unflatten(1, latent.shape[1:]))

    def __str__(self) -> str:
        parts = [str(self.steering)]
        parts += ["one w for all layers"] if self.space == "w" else []
        parts += [] if self.layers is None else [f"layers {_ranges(self.layers)}"]
        parts += [] if self.components is None else [f"{self.components} components"]
        parts += [] if self.along is None else [f"along {' + '.join(self.along)}"]
        parts += [f"shaken by {show_rate(self.noise_on_w)}"] if self.shaken else []
        return f"latent ({', '.join(parts)})"

    @property
    def shaken(self) -> bool:
        """Whether noise is added to w for the forward pass."""
        return callable(self.noise_on_w) or self.noise_on_w > 0


def latent(
    lr: Rate | Sequence[Rate] = 1e-3,
    *,
    space: Literal["w+", "w"] = "w+",
    layers: Iterable[int] | None = None,
    components: int | None = None,
    along: Sequence[str] | None = None,
    shake: Shake = 0.0,
    optimizer: OptimizerFactory = torch.optim.Adam,
    gradient: Sequence[GradientChange] = (),
) -> LatentVariable:
    """Move the latent, from where it is, with a fresh optimiser.

    Args:
        lr: learning rate, or a function of the step in its stage; a list of them is one for each layer that moves.
        space: ``"w+"`` moves each layer's row by itself; ``"w"`` one w for all rows, from their mean.
        layers: the W+ layers to move, all by default.
        components: move along this many principal components of ``Models.latents`` instead, in units of
            their standard deviations.
        along: move along what these attributes change in ``Models.latents`` instead, one number for each: 1 is the
            difference between those who have it and those who have not.
        shake: standard deviation of normal noise on the latent for the forward pass alone (one w's noise for all rows
            in ``"w"``), drawn from each image's own generator: a number, or a function of the step.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them, such as :class:`ClipNorm`.

    Raises:
        InputError: if more than one of space "w", layers, components and along is given, or what is given cannot be
            right.
    """
    chosen = None if layers is None else tuple(sorted(set(layers)))
    if sum(choice is not None for choice in (chosen, components, along)) + (space == "w") > 1:
        raise InputError("latent() moves one w, layers, components or along attributes", expected="one of the four")
    if space not in ("w", "w+"):
        raise InputError("latent() knows no such space", expected="'w+' or 'w'", actual=repr(space))
    if chosen is not None and (not chosen or chosen[0] < 0):
        raise InputError("latent() moves no layer", expected="layer numbers from 0", actual=str(list(chosen)))
    if components is not None and (not isinstance(components, int) or components < 1):
        raise InputError("latent() moves no component", expected="components >= 1", actual=str(components))
    if along is not None and (isinstance(along, str) or not along):
        raise InputError("latent() moves along no attributes", expected="a list of names", actual=repr(along))
    steering = Steering(lr if callable(lr) or not isinstance(lr, Sequence) else tuple(lr), optimizer, tuple(gradient))
    if isinstance(steering.lr, tuple) and (components is not None or along is not None or space == "w"):
        raise InputError(
            "a rate for each layer needs layers that move by themselves", actual=f"{len(steering.lr)} rates"
        )
    return LatentVariable(steering, space, chosen, components, None if along is None else tuple(along), shake)


class _MovingLatent(Moving):
    """What all motions of the latent share: the noise on it."""

    variable: LatentVariable
    like: Tensor

    def shake(self, step: int, generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        if not self.variable.shaken:
            return {}
        draw = getattr(self.variable.noise_on_w, "draw", None)
        if draw is not None:  # noise of somebody's own
            return {"latent": draw(step, self.like, generators)}
        shape = self.like.shape[1:] if self.variable.space == "w+" else self.like.shape[2:]
        # Drawn where the generator lives, so that a seed means the same on every device.
        noises = [torch.randn(shape, generator=g, device=g.device, dtype=self.like.dtype) for g in generators]
        noise = torch.stack(noises).to(self.like.device) * at(self.variable.noise_on_w, step)
        return {"latent": noise if self.variable.space == "w+" else noise[:, None].expand(self.like.shape)}


class _MovingRows(_MovingLatent):
    """The latent itself, or some of its layers."""

    def __init__(self, variable: LatentVariable, latent: Tensor) -> None:
        self.variable, self.like = variable, latent
        self._base = latent.detach().clone()
        self._layers = None if variable.layers is None else list(variable.layers)
        own = [w.clone() if self._layers is None else w[self._layers] for w in latent]
        each = len(variable.steering.rates) > 1  # a group for each layer
        super().__init__([[[row] for row in w] if each else [[w]] for w in own], variable.steering)

    def values(self, images: Sequence[int]) -> Given:
        moved = together([self._rows(i) for i in images])
        if self._layers is None:
            return {"latent": moved}
        at_layers = torch.tensor(self._layers, device=moved.device)
        return {"latent": self._base[list(images)].index_copy(1, at_layers, moved)}

    @torch.no_grad()
    def assign(self, image: int, given: Mapping[str, Tensor]) -> None:
        latent = given["latent"][image]
        self._base[image] = latent
        own = latent if self._layers is None else latent[self._layers]
        parameters = self.of_image(image)
        for parameter, value in zip(parameters, [own] if len(parameters) == 1 else own, strict=True):
            parameter.copy_(value)

    def more(self) -> dict[str, Tensor]:
        return {"base": self._base}

    def _rows(self, image: int) -> Tensor:
        parameters = self.of_image(image)
        return parameters[0] if len(self.variable.steering.rates) == 1 else torch.stack(list[Tensor](parameters))


class _MovingW(_MovingLatent):
    """One w, for all rows."""

    def __init__(self, variable: LatentVariable, latent: Tensor) -> None:
        self.variable, self.like = variable, latent
        super().__init__([[[w.mean(dim=0)]] for w in latent], variable.steering)

    def values(self, images: Sequence[int]) -> Given:
        w = together([self.of_image(i)[0] for i in images])
        return {"latent": w[:, None].expand(-1, *self.like.shape[1:])}

    @torch.no_grad()
    def assign(self, image: int, given: Mapping[str, Tensor]) -> None:
        self.of_image(image)[0].copy_(given["latent"][image].mean(dim=0))


class _MovingCoordinates(_MovingLatent):
    """Coordinates along some directions, from a base latent."""

    def __init__(self, variable: LatentVariable, latent: Tensor, directions: Float[Tensor, "k *latent"]) -> None:
        self.variable, self.like = variable, latent
        self._base = latent.detach().clone()
        self._directions = directions.to(latent)
        super().__init__([[[latent.new_zeros(len(directions))]] for _ in latent], variable.steering)

    def values(self, images: Sequence[int]) -> Given:
        scores = together([self.of_image(i)[0] for i in images])
        return {"latent": self._base[list(images)] + self._offset(scores)}

    @torch.no_grad()
    def assign(self, image: int, given: Mapping[str, Tensor]) -> None:
        self._base[image] = given["latent"][image] - self._offset(self.of_image(image)[0][None])[0]

    def more(self) -> dict[str, Tensor]:
        return {"base": self._base}

    def _offset(self, scores: Float[Tensor, "b k"]) -> Tensor:
        return einsum(scores, self._directions, "b k, k ... -> b ...")


def _ranges(numbers: Sequence[int]) -> str:
    """0, 1, 2, 5 as '0-2, 5'."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
