"""Stage and Schedule: what an edit will do, as values that can be printed and are checked before any work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskedit.blending import Blend, Paste, Several
from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.schedule.effect import check_effect
from maskedit.schedule.events import Event, event_regions
from maskedit.schedule.variables import LatentVariable, NoiseVariable, Unchanged, Variable
from maskedit.terms import Objective, Reads, Term, show_rate

Series: TypeAlias = Mapping[str, Float[Tensor, "b t"]]
"""The stage's history so far, one column a step: ``"total"``, and each term's raw values by its name."""


@dataclass(frozen=True)
class Threshold:
    """Stop an image when a value has come down to a bound.

    Args:
        value: the bound.
        of: ``"total"``, or the name of a term (its raw value).
    """

    value: float | int
    of: str = "total"

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
    """

    patience: int = 20
    tolerance: float | int = 1e-3
    of: str = "total"

    def __call__(self, series: Series) -> Bool[Tensor, " b"]:
        values = series[self.of]
        if values.shape[1] <= self.patience:
            return torch.zeros(len(values), dtype=torch.bool, device=values.device)
        before = values[:, : -self.patience].amin(dim=1)
        recent = values[:, -self.patience :].amin(dim=1)
        return recent >= before - self.tolerance * before.abs()

    def __str__(self) -> str:
        return f"{self.of} gains < {self.tolerance:g} in {self.patience} steps"


StopRule: TypeAlias = Threshold | Plateau


@dataclass(frozen=True, eq=False)
class Stage:
    """Some steps of optimisation with one objective.

    A step is: forward, events before backward, backward, the optimiser's step, events after it.

    Args:
        name: unique in its schedule.
        steps: how many, at most.
        objective: what to minimise; a single term will do.
        vary: what moves: ``latent(...)``, ``noise(...)``, several of them, or ``unchanged()``, which goes on
            with the last stage's variables and moments. ``latent`` and ``noise`` start a fresh optimiser.
        on_enter: events before the first step.
        before_backward: events between forward and backward; only the released recipe needs one.
        after_step: events after each step.
        stop: when an image may stop early; the others go on.
        keep_best: end the stage at each image's best step (lowest total) instead of its last.

    Raises:
        InputError: if the steps or the name cannot be.
    """

    name: str
    steps: int
    objective: Objective | Term
    vary: Variable | Unchanged | Sequence[Variable]
    on_enter: Sequence[Event] = ()
    before_backward: Sequence[Event] = ()
    after_step: Sequence[Event] = ()
    stop: StopRule | None = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            raise InputError("a stage's name cannot be used", expected="a word without dots", actual=repr(self.name))
        where = f"stage {self.name!r}"
        if not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(
                f"{where} has no number of steps", expected="a whole number from 1", actual=str(self.steps)
            )
        if isinstance(self.objective, Term):
            object.__setattr__(self, "objective", Objective([self.objective]))
        if not isinstance(self.vary, LatentVariable | NoiseVariable | Unchanged):
            object.__setattr__(self, "vary", _variables(where, self.vary))
        for when in ("on_enter", "before_backward", "after_step"):
            object.__setattr__(self, when, _events(f"{when} of {where}", getattr(self, when)))
        known = ("total", *self.terms.names)
        if self.stop is not None and self.stop.of not in known:
            raise InputError(
                f"stage {self.name!r} stops by a term that it does not have",
                expected=f"one of {', '.join(known)}",
                actual=repr(self.stop.of),
            )

    @property
    def terms(self) -> Objective:
        """The objective."""
        assert isinstance(self.objective, Objective)
        return self.objective

    @property
    def variables(self) -> tuple[Variable, ...]:
        """What starts to move; nothing new if unchanged."""
        if isinstance(self.vary, Unchanged):
            return ()
        return (self.vary,) if isinstance(self.vary, LatentVariable | NoiseVariable) else tuple(self.vary)

    @property
    def events(self) -> tuple[Event, ...]:
        """All of its events."""
        return (*self.on_enter, *self.before_backward, *self.after_step)

    def reads(self, problem: Problem) -> Reads:
        """What its terms and events ask of the parser and the classifier about the generated picture."""
        regions = [name for event in self.events for name in event_regions(event, problem)]
        return self.terms.asks | Reads(regions=tuple(dict.fromkeys(regions)))


class Schedule:
    """Stages in order, and the blend that ends them. A frozen value: printing it shows all it will do.

    Args:
        stages: at least one, each with a name of its own.
        blend: how the last image is composed (Eq. 12); None returns the generated image as it is.

    Raises:
        InputError: if two stages share a name, or the first has nothing to go on with.
    """

    __slots__ = ("_blend", "_stages")

    def __init__(self, *stages: Stage, blend: Blend | Several | None = Paste()) -> None:  # noqa: B008  # frozen
        names = [stage.name for stage in stages]
        if not stages:
            raise InputError("a schedule needs a stage")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two stages are named {name!r}", expected="each name once")
        if not stages[0].variables:
            raise InputError(
                f"the first stage, {names[0]!r}, varies nothing",
                expected="vary=latent(...) or noise(...)",
                hint="unchanged() goes on with the stage before.",
            )
        if blend is not None and blend.since is not None and blend.since not in names:
            raise InputError(
                f"the blend adds the change since stage {blend.since!r}", expected=f"one of {', '.join(names)}"
            )
        self._stages, self._blend = stages, blend

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in order."""
        return self._stages

    @property
    def blend(self) -> Blend | Several | None:
        """How the last image is composed."""
        return self._blend

    @property
    def steps(self) -> int:
        """How many steps, at most."""
        return sum(stage.steps for stage in self._stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._stages)

    def reads(self, problem: Problem) -> Reads:
        """What the whole schedule asks of the parser and the classifier about the input."""
        asks = Reads(regions=_blend_regions(self._blend, problem))
        for stage in self._stages:
            asks |= stage.reads(problem)
        return asks

    def check(self, problem: Problem) -> None:
        """Refuse a problem that lacks what some stage needs, before any work.

        Raises:
            InputError: naming the stage, the term, and what is missing.
        """
        models = problem.models
        regions = None if models.parser is None else models.parser.regions
        attributes = None if models.classifier is None else models.classifier.attributes
        for stage in self._stages:
            for term in stage.terms:
                where = f"term {term.name!r} of stage {stage.name!r}"
                _has_all(where, "region", term.asks.regions, "parser", regions)
                _has_all(where, "attribute", term.asks.attributes, "classifier", attributes)
                for need in term.needs:
                    if need == "blend":
                        self._check_blended(where, stage)
                    else:
                        _has_need(where, need, problem)
            for event in stage.events:
                where = f"an event of stage {stage.name!r}"
                needed = event_regions(event, problem)
                _has_all(where, "region", needed, "parser", regions)
                if getattr(event, "regions", ()) is None and not needed:
                    raise InputError(f"{where} looks at the target, but the problem names none", hint=_NAME_TARGET)
            for variable in stage.variables:
                _check_variable(f"stage {stage.name!r}", variable, problem)
        if self._blend is not None:
            needed = _blend_regions(self._blend, problem)
            _has_all("the blend", "region", needed, "parser", regions)
            self._blend.check(problem)
            check_effect({stage.name: stage.terms for stage in self._stages}, self._blend, problem)

    def _check_blended(self, where: str, stage: Stage) -> None:
        """A term that looks at the blended picture needs one that can be made by then."""
        if self._blend is None:
            raise InputError(f"{where} looks at the blended picture", actual="a schedule without a blend")
        names = [stage.name for stage in self._stages]
        since = self._blend.since
        if since is not None and names.index(stage.name) <= names.index(since):
            raise InputError(
                f"{where} looks at the blended picture before there is one",
                expected=f"a stage after {since!r}, whose end the change is counted from",
            )

    def __repr__(self) -> str:
        head = ("stage", "steps", "varies", "weight", "term")
        rows: list[tuple[str, ...]] = []
        for stage in self._stages:
            varies = str(stage.vary) if isinstance(stage.vary, Unchanged) else " + ".join(map(str, stage.variables))
            left = (stage.name, str(stage.steps), varies)
            for term in stage.terms:
                rows.append((*left, show_rate(term.weight), f"{term.name}: {term.describe()}"))
                left = ("", "", "")
            rows += [("", "", f"  {line}", "", "") for line in _extras(stage)]
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
        lines.insert(1, "  ".join("-" * width for width in widths))
        ending = "the generated image as it is" if self._blend is None else str(self._blend)
        return "\n".join(line.rstrip() for line in [*lines, f"then: {ending}"])


def _blend_regions(blend: Blend | Several | None, problem: Problem) -> tuple[str, ...]:
    return () if blend is None else blend.preserve + blend.target(problem)


_NAME_TARGET = "Say what is to be edited, such as Problem(models, image, 'smiling'), or Edit(regions=['hair'])."


def _variables(where: str, vary: object) -> tuple[Variable, ...]:
    variables = tuple(vary) if isinstance(vary, Iterable) else (vary,)
    kinds = [type(variable) for variable in variables]
    if not kinds or any(kinds.count(kind) > 1 or kind not in (LatentVariable, NoiseVariable) for kind in kinds):
        raise InputError(
            f"{where} cannot vary that",
            expected="latent(...), noise(...), one of each in a list, or unchanged()",
            actual=repr(vary),
            hint="One latent() moves several layers: latent(layers=[0, 1]).",
        )
    return cast(tuple[Variable, ...], variables)


def _events(where: str, events: object) -> tuple[Event, ...]:
    if not isinstance(events, Iterable) or any(isinstance(e, type) or not callable(e) for e in events):
        raise InputError(
            f"{where} is not a list of events",
            expected="callables, such as [GrowTarget()]",
            actual=repr(events),
            hint="An event is an instance, in a list." if isinstance(events, Iterable) else "Write [event].",
        )
    return tuple(events)


def _extras(stage: Stage) -> list[str]:
    lines = [
        f"{when}: {', '.join(map(_show_event, events))}"
        for when, events in (
            ("on entering", stage.on_enter),
            ("before backward", stage.before_backward),
            ("after each step", stage.after_step),
        )
        if events
    ]
    if stage.stop is not None:
        lines.append(f"stops when {stage.stop}")
    if stage.keep_best:
        lines.append("keeps the best step")
    return lines


def _show_event(event: Event) -> str:
    return getattr(event, "__qualname__", None) or repr(event)


def _has_all(where: str, kind: str, names: Iterable[str], role: str, known: Sequence[str] | None) -> None:
    for name in names:
        if known is None:
            raise InputError(f"{where} needs a {role} for {name!r}", actual=f"models.{role} is None")
        if name not in known:
            raise InputError(
                f"{where} needs the {kind} {name!r}, which the {role} does not have",
                expected=f"one of {', '.join(known)}",
            )


def _has_need(where: str, need: str, problem: Problem) -> None:
    if need == "noise" and not problem.models.generator.noise_shapes:
        raise InputError(f"{where} needs noise maps", actual="a generator without any", hint="Leave it out.")
    if need == "latents" and problem.models.latents is None:
        raise InputError(f"{where} needs a latent distribution", actual="models.latents is None")
    if need not in ("noise", "latents"):
        raise InputError(
            f"{where} needs something unknown", expected="'noise', 'latents' or 'blend'", actual=repr(need)
        )


def _check_variable(where: str, variable: Variable, problem: Problem) -> None:
    models = problem.models
    if isinstance(variable, NoiseVariable):
        _has_need(where, "noise", problem)
        return
    layers = models.generator.latent_shape[0]
    if variable.layers is not None and variable.layers[-1] >= layers:
        raise InputError(
            f"{where} moves layer {variable.layers[-1]}", expected=f"layers from 0 to {layers - 1}", hint=""
        )
    if variable.components is not None:
        _has_need(where, "latents", problem)
        assert models.latents is not None
        if variable.components > len(models.latents.deviations):
            raise InputError(
                f"{where} moves {variable.components} components",
                expected=f"at most {len(models.latents.deviations)}",
            )
    if variable.along is not None:
        _has_need(where, "latents", problem)
        assert models.latents is not None
        known = tuple(models.latents.directions)
        for name in variable.along:
            if name not in known:
                raise InputError(
                    f"{where} moves along {name!r}",
                    expected=f"one of {', '.join(known)}" if known else "a distribution with directions",
                    hint="Move along principal components, which need no labels: components=24.",
                )
