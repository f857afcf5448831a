"""The protocol of what may move, and its motion: parameters and an optimiser for each image.

Each image has parameters and an optimiser of its own, so that nothing can mix the images of a batch, not
even an optimiser with statistics over all its parameters, and an image that has stopped is not stepped.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from maskedit.errors import CheckpointError
from maskedit.problem import Problem
from maskedit.schedule.stopping import Series
from maskedit.schedule.variables._steering import Steering
from maskedit.terms import Given, stacked

Evaluate: TypeAlias = Callable[[int], Tensor]
"""The total of one image, with gradient, drawn from what its parameters now say."""


@runtime_checkable
class Variable(Protocol):
    """What a stage may change: a frozen value that checks and prints itself, and sets itself in motion.

    ``name`` is unique in a stage; the result calls what moved by it.
    """

    @property
    def name(self) -> str:
        """What moves, in a word."""
        ...

    def gives(self, problem: Problem) -> tuple[str, ...]:
        """The names in ``view.given`` that it decides; no two variables of a stage may decide the same."""
        ...

    def check(self, problem: Problem) -> None:
        """Refuse a problem in which this cannot move, with an InputError."""
        ...

    def begin(self, given: Mapping[str, Tensor], problem: Problem) -> "Moving":
        """Start moving from what is given, with a fresh optimiser."""
        ...

    def __str__(self) -> str: ...


class Moving(ABC):
    """A variable in motion. Only the loop uses it; a variable of yours returns one from ``begin``.

    Args:
        parameters: for each image its tensors, in groups that may have rates of their own. They are moved in place.
        steering: how they move.

    Attributes:
        live: names whose values in ``said`` are the parameters' own memory, which each step changes: the loop keeps
            no copies of these.
    """

    live: frozenset[str] = frozenset()

    def __init__(self, parameters: Sequence[Sequence[Sequence[Tensor]]], steering: Steering) -> None:
        self.steering = steering
        self.parameters = [[[nn.Parameter(p.detach()) for p in group] for group in image] for image in parameters]
        self.optimizers = [steering.begin(groups) for groups in self.parameters]
        step = inspect.signature(self.optimizers[0].step).parameters.values()
        self.closure = any(p.default is p.empty for p in step)

    @abstractmethod
    def values(self, images: Sequence[int]) -> Given:
        """What the parameters of these images say, with gradient, by the names that the variable gives."""

    @abstractmethod
    def assign(self, image: int, given: Mapping[str, Tensor]) -> None:
        """Make the parameters of one image say what is given."""

    def said(self) -> dict[str, Tensor]:
        """What all parameters say now, without gradient."""
        with torch.no_grad():
            return {name: stacked(value).detach() for name, value in self.values(range(len(self.parameters))).items()}

    def shake(self, step: int, generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """What is added for this forward pass alone, by name."""
        return {}

    def project(self, image: int) -> None:  # noqa: B027  # most may be anywhere
        """Bring one image's parameters back to where they may be, after a step."""

    def more(self) -> dict[str, Tensor]:
        """Tensors to save beside the parameters."""
        return {}

    def all_parameters(self) -> Iterator[nn.Parameter]:
        """Every parameter of every image."""
        for image in self.parameters:
            for group in image:
                yield from group

    def of_image(self, image: int) -> list[nn.Parameter]:
        """The parameters of one image."""
        return [p for group in self.parameters[image] for p in group]

    def gradient_is_finite(self) -> Bool[Tensor, " b"]:
        """For each image, whether its gradient is finite."""
        return torch.stack([_finite(self.of_image(i)) for i in range(len(self.parameters))])

    def step(self, step: int, active: Sequence[bool], series: Series, evaluate: Evaluate) -> list[int]:
        """One step, for the images that are active.

        Args:
            step: in the stage, from 0.
            active: which images move.
            series: the stage's values so far, this step's among them.
            evaluate: for optimisers with a closure.

        Returns:
            How often the objective was evaluated for each image beyond the step's own evaluation.
        """
        more = [0] * len(active)
        for image, (optimizer, moves) in enumerate(zip(self.optimizers, active, strict=True)):
            own = self.of_image(image)
            if moves:
                for i, group in enumerate(optimizer.param_groups):
                    group["lr"] = self.steering.rate(i, step, series, image)
                if self.closure:
                    more[image] = self._step_with_closure(image, evaluate)
                else:
                    self._change_gradients(own)
                    optimizer.step()
                self.project(image)
            for p in own:
                p.grad = None
        return more

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything to go on from: tensors, and plain values, by name."""
        tensors = {f"more.{name}": value for name, value in self.more().items()}
        plain: dict[str, Any] = {}
        for name, parameter, optimizer in self._named():
            tensors[name] = parameter.detach()
            found, rest = _flat(f"{name}.", optimizer.state.get(parameter, {}), type(optimizer).__name__)
            tensors |= found
            plain |= rest
        return tensors, plain

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Go on from what was saved.

        Raises:
            CheckpointError: if it is of another variable.
        """
        for name, value in self.more().items():
            value.copy_(_saved(tensors, f"more.{name}", value))
        for name, parameter, optimizer in self._named():
            parameter.copy_(_saved(tensors, name, parameter))
            # By hand: the optimiser's own load_state_dict would cast what it remembers to the parameter's type.
            memory = _nested(f"{name}.", tensors, plain)
            if memory:
                optimizer.state[parameter] = memory

    def _step_with_closure(self, image: int, evaluate: Evaluate) -> int:
        own, calls = self.of_image(image), 0

        def closure() -> Tensor:
            nonlocal calls
            calls += 1
            total = evaluate(image)
            gradients = torch.autograd.grad(total, own, allow_unused=True)
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
            self._change_gradients(own)
            return total.detach()

        self.optimizers[image].step(closure)  # type: ignore[arg-type]  # a tensor is taken as a number
        return calls

    def _change_gradients(self, own: Iterable[nn.Parameter]) -> None:
        moved = [p for p in own if p.grad is not None]
        if not moved or not self.steering.gradient:
            return
        gradients = [p.grad for p in moved if p.grad is not None]
        for change in self.steering.gradient:
            gradients = change(gradients)
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.grad = gradient

    def _named(self) -> Iterator[tuple[str, nn.Parameter, torch.optim.Optimizer]]:
        for image, optimizer in enumerate(self.optimizers):
            for k, parameter in enumerate(self.of_image(image)):
                yield f"image.{image}.{k}", parameter, optimizer


def together(parameters: Sequence[Tensor]) -> Tensor:
    """One parameter of each image as a batch, copied: what was seen of it must not change with the next step."""
    return torch.stack(list(parameters))


def _finite(parameters: Sequence[nn.Parameter]) -> Bool[Tensor, ""]:
    # A sum is finite only if all its parts are: one cheap pass over each.
    sums = [p.grad.sum() for p in parameters if p.grad is not None]
    if not sums:
        return torch.ones((), dtype=torch.bool, device=parameters[0].device)
    return torch.stack(sums).isfinite().all()


def _flat(prefix: str, memory: object, optimizer: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What an optimiser remembers, nested as it likes, under one name each."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    entries = memory.items() if isinstance(memory, Mapping) else enumerate(memory)  # type: ignore[arg-type]
    for key, value in entries:
        name = f"{prefix}{key}"
        if isinstance(value, Tensor):
            tensors[name] = value
        elif value is None or isinstance(value, bool | int | float | str):
            plain[name] = value
        elif isinstance(value, list | tuple | Mapping):
            plain[name] = "[]" if not isinstance(value, Mapping) else "{}"
            found, rest = _flat(f"{name}.", value, optimizer)
            tensors |= found
            plain |= rest
        else:
            raise CheckpointError(
                f"{optimizer} remembers {key!r}, which cannot be saved",
                expected="tensors and plain values, also in lists",
                actual=type(value).__name__,
            )
    return tensors, plain


def _nested(prefix: str, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`_flat` made, nested again."""
    memory: dict[str, Any] = {}
    for name, value in [*plain.items(), *tensors.items()]:
        if not name.startswith(prefix):
            continue
        *path, last = name.removeprefix(prefix).split(".")
        place: Any = memory
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(value, Tensor):
            # Torch keeps step counts, which are single numbers, on the CPU.
            value = value.cpu() if value.ndim == 0 else value
        elif value in ("[]", "{}"):
            value = [] if value == "[]" else {}
        if isinstance(place, list):
            place.extend([None] * (int(last) + 1 - len(place)))
            place[int(last)] = value
        else:
            place[last] = value
    return memory


def _saved(tensors: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name not in tensors or tensors[name].shape != like.shape:
        actual = "nothing" if name not in tensors else str(list(tensors[name].shape))
        raise CheckpointError(f"the saved run has another {name!r}", expected=str(list(like.shape)), actual=actual)
    return tensors[name]
