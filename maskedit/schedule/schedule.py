"""Schedule: stages in order, and the blend that ends them. What an edit will do, checked before any work."""

from collections.abc import Iterator

from maskedit.blending import Blend, Paste, Several
from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.schedule import table
from maskedit.schedule.effect import check_effect
from maskedit.schedule.stage import Stage, check_reads
from maskedit.terms import Reads


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
        for stage in stages:
            if not isinstance(stage, Stage):
                raise InputError(
                    "a schedule is made of something else than stages",
                    expected="Schedule(Stage(...), Stage(...))",
                    actual=type(stage).__name__,
                    hint="Write them one after another, not in a list." if isinstance(stage, list | tuple) else "",
                )
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
        """What the whole schedule asks of the models about the input."""
        asks = self._blend_reads(problem)
        for stage in self._stages:
            asks |= stage.reads(problem)
        return Reads(asks.regions, asks.attributes)

    def check(self, problem: Problem) -> None:
        """Refuse a problem that lacks what some stage needs, before any work.

        Raises:
            InputError: naming the stage, the term, and what is missing.
        """
        if not isinstance(problem, Problem):
            raise InputError("what is to be edited is no Problem", actual=type(problem).__name__)
        for stage in self._stages:
            stage.check(problem)
            for term in stage.terms:
                if "blend" in term.needs:
                    self._check_blended(f"term {term.name!r} of stage {stage.name!r}", stage)
        check_reads("the blend", self._blend_reads(problem), problem)
        if self._blend is not None:
            self._blend.check(problem)
            check_effect({stage.name: stage.terms for stage in self._stages}, self._blend, problem)

    def _blend_reads(self, problem: Problem) -> Reads:
        return Reads() if self._blend is None else Reads(regions=self._blend.preserve + self._blend.target(problem))

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
        return table.text(self)

    def _repr_html_(self) -> str:
        return table.html(self)
