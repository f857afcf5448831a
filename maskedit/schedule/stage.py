"""Stage: some steps of optimisation with one objective, as a value that is checked before any work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.protocols import ShowsMore
from maskedit.schedule.events import Event, event_reads
from maskedit.schedule.stopping import StopRule
from maskedit.schedule.variables import Unchanged, Variable
from maskedit.terms import Objective, Reads, Term, is_number


@dataclass(frozen=True, eq=False)
class Stage:
    """Some steps of optimisation with one objective.

    A step is: forward, events before backward, backward, the optimiser's step, events after it.

    Args:
        name: unique in its schedule.
        steps: how many, at most.
        objective: what to minimise; a single term will do.
        vary: what moves: ``latent(...)``, ``noise(...)`` or any other :class:`Variable`, several of them in a list, or
            ``unchanged()``, which goes on with the last stage's variables and moments. Others start a fresh optimiser.
        on_enter: events before the first step.
        before_backward: events between forward and backward; only the released recipe needs one.
        after_step: events after each step.
        stop: when an image may stop early, at the state whose value passed; the others go on.
        keep_best: end the stage at each image's best step (lowest total) instead of its last.

    Raises:
        InputError: if the steps or the name cannot be, or what it is made of is something else.
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
        if not isinstance(self.name, str) or not self.name or "." in self.name:
            raise InputError("a stage's name cannot be used", expected="a word without dots", actual=repr(self.name))
        where = f"stage {self.name!r}"
        if not is_number(self.steps) or self.steps != int(self.steps) or self.steps < 1:
            raise InputError(
                f"{where} has no number of steps", expected="a whole number from 1", actual=str(self.steps)
            )
        object.__setattr__(self, "steps", int(self.steps))
        if isinstance(self.objective, Term):
            object.__setattr__(self, "objective", Objective([self.objective]))
        if not isinstance(cast(object, self.objective), Objective):
            raise InputError(
                f"{where} has no objective", expected="terms added up", actual=type(self.objective).__name__
            )
        if not isinstance(self.vary, Unchanged):
            several = _variables(where, self.vary)
            object.__setattr__(self, "vary", several if isinstance(self.vary, Iterable) else several[0])
        for when in ("on_enter", "before_backward", "after_step"):
            object.__setattr__(self, when, _events(f"{when} of {where}", getattr(self, when)))
        self._check_stop(where)

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
        return tuple(self.vary) if isinstance(self.vary, Iterable) else (self.vary,)

    @property
    def events(self) -> tuple[Event, ...]:
        """All of its events."""
        return (*self.on_enter, *self.before_backward, *self.after_step)

    def reads(self, problem: Problem) -> Reads:
        """What its terms and events ask of the models about the generated picture."""
        asks = self.terms.asks
        for event in self.events:
            asks |= event_reads(event, problem)
        return asks

    def check(self, problem: Problem) -> None:
        """Refuse a problem that lacks what the stage needs.

        Raises:
            InputError: naming the stage, the term, and what is missing.
        """
        for term in self.terms:
            where = f"term {term.name!r} of stage {self.name!r}"
            check_reads(where, term.asks, problem)
            for need in term.needs:
                _check_need(where, need, problem)
        for event in self.events:
            check = getattr(event, "check", None)
            with _of(f"stage {self.name!r}"):
                if check is not None:
                    check(problem)
            check_reads(f"an event of stage {self.name!r}", event_reads(event, problem), problem)
        decided: dict[str, str] = {}
        for variable in self.variables:
            with _of(f"stage {self.name!r}"):
                variable.check(problem)
            for name in variable.gives(problem):
                if name in decided:
                    raise InputError(
                        f"{decided[name]} and {variable.name} of stage {self.name!r} both move {name!r}",
                        expected="each thing moved once",
                        hint="One latent() moves several layers, at rates of their own: latent(lr=[...], layers=...).",
                    )
                decided[name] = variable.name

    def _check_stop(self, where: str) -> None:
        if self.stop is not None and (isinstance(self.stop, type) or not callable(self.stop)):
            raise InputError(f"{where} stops by no rule", expected="a callable", actual=repr(self.stop))
        of, known = getattr(self.stop, "of", "total"), ("total", *self.terms.names)
        if of not in known:
            raise InputError(
                f"{where} stops by a term that it does not have",
                expected=f"one of {', '.join(known)}",
                actual=repr(of),
            )


def check_reads(where: str, reads: Reads, problem: Problem) -> None:
    """Refuse a problem whose models do not know what is asked.

    Raises:
        InputError: naming who asks.
    """
    models = problem.models
    regions = None if models.parser is None else models.parser.regions
    attributes = None if models.classifier is None else models.classifier.attributes
    extras = models.generator.shows if isinstance(models.generator, ShowsMore) else ()
    for kind, names, role, known in (
        ("region", reads.regions, "parser", regions),
        ("attribute", reads.attributes, "classifier", attributes),
        ("extra", reads.extras, "generator", extras),
    ):
        for name in names:
            if known is None:
                raise InputError(f"{where} needs a {role} for {name!r}", actual=f"models.{role} is None")
            if name not in known:
                raise InputError(
                    f"{where} needs the {kind} {name!r}, which the {role} does not have",
                    expected=f"one of {', '.join(known)}" if known else f"a {role} with such",
                )


class _of:
    """Names the stage in what a part of it refuses."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if isinstance(error, InputError):
            raise InputError(
                f"{self.where}: {error.problem}", expected=error.expected, actual=error.actual, hint=error.hint
            ) from None


def _variables(where: str, vary: object) -> tuple[Variable, ...]:
    variables = tuple(vary) if isinstance(vary, Iterable) else (vary,)
    names = [getattr(variable, "name", None) for variable in variables]
    if not variables or any(isinstance(v, type) or not isinstance(v, Variable) for v in variables):
        raise InputError(
            f"{where} cannot vary that",
            expected="latent(...), noise(...) or another variable, several in a list, or unchanged()",
            actual=repr(vary),
        )
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"{where} varies {repeated[0]} twice",
            expected="each variable once",
            hint="One latent() moves several layers: latent(layers=[0, 1]).",
        )
    return variables


def _events(where: str, events: object) -> tuple[Event, ...]:
    if not isinstance(events, Iterable) or any(isinstance(e, type) or not callable(e) for e in events):
        raise InputError(
            f"{where} is not a list of events",
            expected="callables, such as [GrowTarget()]",
            actual=repr(events),
            hint="An event is an instance, in a list." if isinstance(events, Iterable) else "Write [event].",
        )
    return tuple(events)


def _check_need(where: str, need: str, problem: Problem) -> None:
    if need == "noise" and not problem.models.generator.noise_shapes:
        raise InputError(f"{where} needs noise maps", actual="a generator without any", hint="Leave it out.")
    if need == "latents" and problem.models.latents is None:
        raise InputError(f"{where} needs a latent distribution", actual="models.latents is None")
    if need not in ("noise", "latents", "blend"):
        raise InputError(
            f"{where} needs something unknown", expected="'noise', 'latents' or 'blend'", actual=repr(need)
        )
