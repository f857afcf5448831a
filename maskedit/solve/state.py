"""Where a run stands: everything that it has to remember between two steps. Only the loop changes it."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.problem import Problem
from maskedit.schedule import Moving
from maskedit.solve.record import Record
from maskedit.types import Image, Mask, PerSample


@dataclass
class Best:
    """Each image's step with the lowest total in this stage.

    Attributes:
        total: ``[b]``.
        given: what it was drawn from.
    """

    total: PerSample
    given: dict[str, Tensor]


@dataclass
class State:
    """Everything that a run has to remember between two steps.

    Attributes:
        given: what is drawn from, by name, each ``[b, ...]``.
        start: the same where the run, or the variable that moves it, started.
        good: the same at the last step whose loss was finite.
        grown: where the target was last seen ``[b, 1, H, W]``.
        active: images not frozen ``[b]``.
        stopped: images that have stopped in this stage ``[b]``.
        seeds: one per image.
        generators: one per image.
        notes: what happened to each image.
        stage: which stage comes next or is under way.
        step: steps done in it.
        index: steps done in all.
        entered: whether the stage has begun.
        moving: the variables in motion.
        moving_since: the stage that set them in motion.
        begun: what was drawn from when it did.
        best: the best step of this stage, if the stage keeps it.
        memory: what this stage's events remember.
        record: every term's values.
        fitted: the generated picture when the change of the blend began.
        seconds: time spent in steps.
        busy: a step is half done.
    """

    given: dict[str, Tensor]
    start: dict[str, Tensor]
    good: dict[str, Tensor]
    grown: Mask
    active: Bool[Tensor, " b"]
    stopped: Bool[Tensor, " b"]
    seeds: tuple[int, ...]
    generators: tuple[torch.Generator, ...]
    notes: list[list[str]]
    stage: int = 0
    step: int = 0
    index: int = 0
    entered: bool = False
    moving: list[Moving] = field(default_factory=list)
    moving_since: int = 0
    begun: dict[str, Tensor] = field(default_factory=dict)
    best: Best | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    record: Record = field(default_factory=Record)
    fitted: Image | None = None
    seconds: float = 0.0
    busy: bool = False

    @property
    def live(self) -> frozenset[str]:
        """Names whose values are parameters' own memory, of which nothing keeps a copy."""
        return frozenset().union(*(moving.live for moving in self.moving))


def begin(problem: Problem, seeds: tuple[int, ...]) -> State:
    """The state before the first step.

    Args:
        problem: what is edited.
        seeds: one for each image.
    """
    latent = problem.start_latent()
    given = {"latent": latent} | {f"noise.{i}": noise for i, noise in enumerate(problem.start_noises())}
    given |= problem.start_inputs()
    batch = len(latent)
    on = torch.ones(batch, dtype=torch.bool, device=latent.device)
    height, width = problem.size
    return State(
        given=given,
        start={name: value.clone() for name, value in given.items()},
        good=dict(given),
        grown=latent.new_zeros(batch, 1, height, width),
        active=on,
        stopped=~on,
        seeds=seeds,
        # A seed is any whole number; torch takes those of 64 bits.
        generators=tuple(torch.Generator("cpu").manual_seed(seed % 2**63) for seed in seeds),
        notes=[[] for _ in range(batch)],
    )


def chosen(which: Bool[Tensor, " b"], new: Tensor, old: Tensor) -> Tensor:
    """New values for some images; the others keep theirs."""
    if bool(which.all()):
        return new
    return torch.where(which.view(-1, *[1] * (new.ndim - 1)), new, old)


def remember(state: State, total: PerSample, moved: Bool[Tensor, " b"], *, keep_best: bool) -> None:
    """What this step's values are of: the last that was finite and, if it is to be kept, the best so far.

    Args:
        state: changed.
        total: of this step ``[b]``.
        moved: images whose values count.
        keep_best: keep the step with the lowest total.
    """
    for name, value in state.given.items():
        if name not in state.live:
            state.good[name] = chosen(moved, value, state.good[name])
    if not keep_best:
        return
    best = state.best or Best(torch.full_like(total, float("inf")), {n: v.clone() for n, v in state.given.items()})
    better = moved & (total < best.total)
    given = {name: chosen(better, value, best.given[name]) for name, value in state.given.items()}
    given |= {name: given[name].clone() for name in state.live}
    state.best = Best(torch.where(better, total, best.total), given)
