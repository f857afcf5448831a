"""The generator's own weights as a variable: a copy for each image, tuned to it (PTI's second phase)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.schedule.variables._moving import Moving
from maskedit.schedule.variables._steering import GradientChange, OptimizerFactory, Steering
from maskedit.terms import Given, Rate


@dataclass(frozen=True)
class WeightsVariable:
    """Move the generator's weights. Made by :func:`weights`."""

    steering: Steering
    of: tuple[str, ...] | None

    name = "weights"

    def gives(self, problem: Problem) -> tuple[str, ...]:
        """``weights.NAME`` for each parameter that moves."""
        return tuple(f"weights.{name}" for name in self._parameters(problem))

    def check(self, problem: Problem) -> None:
        """Refuse a generator that is no module, and names that match none of its parameters."""
        generator = problem.models.generator
        if not isinstance(generator, nn.Module):
            raise InputError(
                "weights() needs a generator whose parameters can be seen",
                expected="an nn.Module",
                actual=type(generator).__name__,
            )
        known = [name for name, _ in generator.named_parameters()]
        for pattern in self.of or ("*",):
            if not any(fnmatchcase(name, pattern) for name in known):
                raise InputError(
                    f"no parameter of the generator is called {pattern!r}",
                    expected=f"a pattern for some of {', '.join(known[:4])}{', ...' if len(known) > 4 else ''}",
                )

    def begin(self, given: Mapping[str, Tensor], problem: Problem) -> Moving:
        """Start from the generator's own weights, or from what an earlier stage made of them."""
        batch = len(given["latent"])
        own = {
            f"weights.{name}": value.expand(batch, *value.shape) for name, value in self._parameters(problem).items()
        }
        return _MovingWeights({name: given.get(name, value) for name, value in own.items()}, self.steering)

    def _parameters(self, problem: Problem) -> dict[str, Tensor]:
        generator = problem.models.generator
        assert isinstance(generator, nn.Module)  # the schedule was checked
        patterns = self.of or ("*",)
        named = ((name, p.detach()) for name, p in generator.named_parameters())
        return {name: p for name, p in named if any(fnmatchcase(name, pattern) for pattern in patterns)}

    def __str__(self) -> str:
        return f"weights ({self.steering}{'' if self.of is None else ', ' + ' + '.join(self.of)})"


def weights(
    lr: Rate = 3e-4,
    *,
    of: Iterable[str] | None = None,
    optimizer: OptimizerFactory = torch.optim.Adam,
    gradient: Sequence[GradientChange] = (),
) -> WeightsVariable:
    """Move the generator's own weights, a copy for each image; the generator itself stays as it is.

    The copies are moved in place and never copied again: a step holds the generator, and for each image its copy, its
    gradient and the optimiser's moments.

    Args:
        lr: learning rate, or a function of the step in its stage.
        of: names of parameters, with ``*`` for anything, such as ``["convs.*.weight"]``; all by default.
        optimizer: makes the optimiser from parameters and ``lr=``; see :class:`Steering`.
        gradient: changes of gradients before the optimiser sees them.

    Raises:
        InputError: if ``of`` is one string.
    """
    if isinstance(of, str):
        raise InputError("of= is one string", expected="a list of names", hint=f"Write [{of!r}].")
    return WeightsVariable(Steering(lr, optimizer, tuple(gradient)), None if of is None else tuple(of))


class _MovingWeights(Moving):
    """Every image's weights, in one piece of memory a name, which the parameters are views of."""

    def __init__(self, start: Mapping[str, Tensor], steering: Steering) -> None:
        self._all = {name: value.clone(memory_format=torch.contiguous_format) for name, value in start.items()}
        self.live = frozenset(self._all)
        batch = len(next(iter(self._all.values())))
        super().__init__([[[value[i] for value in self._all.values()]] for i in range(batch)], steering)

    def values(self, images: Sequence[int]) -> Given:
        own = [self.of_image(i) for i in images]
        return {name: tuple(p[k] for p in own) for k, name in enumerate(self._all)}

    def said(self) -> dict[str, Tensor]:
        return dict(self._all)

    @torch.no_grad()
    def assign(self, image: int, given: Mapping[str, Tensor]) -> None:
        for name, parameter in zip(self._all, self.of_image(image), strict=True):
            parameter.copy_(given[name][image])
