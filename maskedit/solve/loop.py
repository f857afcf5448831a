"""The loop: ``steps`` yields one Step after another; ``run`` (:mod:`maskedit.solve.whole_run`) folds them.

A step is: draw (events on entering a stage), forward, events before backward, backward, the optimiser's
step, events after it. This is the only place that changes anything.
"""

import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import SupportsIndex, cast

import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.blending import Blend, Patch, Several
from maskedit.errors import InputError, RunError
from maskedit.problem import Problem
from maskedit.schedule import Change, Event, Moment, Schedule, Stage
from maskedit.solve import saving
from maskedit.solve.changes import apply
from maskedit.solve.compose import Composition, compose
from maskedit.solve.fingerprint import fingerprint
from maskedit.solve.gradients import backward, culprit
from maskedit.solve.interrupts import determinism
from maskedit.solve.notice import check_drawn, check_gradients, check_models
from maskedit.solve.result import Result, Step, by_mover
from maskedit.solve.state import State, begin, chosen, remember
from maskedit.solve.status import sentence
from maskedit.terms import (
    Evaluation,
    Given,
    Now,
    Scene,
    Shown,
    Start,
    Value,
    View,
    draw,
    noises_in,
    one,
    see_original,
    stacked,
)
from maskedit.types import Image, Mask


def steps(
    problem: Problem,
    schedule: Schedule,
    *,
    seeds: Iterable[SupportsIndex] | None = None,
    deterministic: bool = False,
    resume: str | os.PathLike[str] | None = None,
) -> Iterator[Step]:
    """The optimisation, one step at a time.

    Break off whenever you like; ``step.result()`` gives what was reached, ``step.save(path)`` a file to
    resume from. Everything is checked before the first step.

    Args:
        problem: what to edit.
        schedule: how.
        seeds: one per image, for what draws; 0 for all by default.
        deterministic: use torch's deterministic algorithms inside each step.
        resume: a file written by ``step.save`` of the same problem and schedule.

    Returns:
        An iterator of steps.

    Raises:
        InputError: if the problem lacks what the schedule needs.
        CheckpointError: if the file to resume from is another run's.
        RunError: in a step, if a term cannot be evaluated.
    """
    return Loop(problem, schedule, seeds=seeds, deterministic=deterministic, resume=resume).steps()


class Loop:
    """One problem, one schedule, one state.

    Args:
        problem: what to edit.
        schedule: how.
        seeds: one per image.
        deterministic: use torch's deterministic algorithms inside each step.
        resume: a file to go on from.
    """

    def __init__(
        self,
        problem: Problem,
        schedule: Schedule,
        *,
        seeds: Iterable[SupportsIndex] | None,
        deterministic: bool,
        resume: str | os.PathLike[str] | None,
    ) -> None:
        if not isinstance(cast(object, schedule), Schedule):
            hint = "Schedule(stage) makes one of a stage." if isinstance(schedule, Stage) else ""
            raise InputError("what is to be done is no Schedule", actual=type(schedule).__name__, hint=hint)
        schedule.check(problem)
        check_models(problem.models)
        self.problem, self.schedule, self.deterministic = problem, schedule, deterministic
        self._fingerprint = fingerprint(schedule)
        own = None if seeds is None else _seeds(seeds, problem.batch)
        if resume is None:
            self.state = begin(problem, own or (0,) * problem.batch)
        else:
            self.state = saving.load(resume, problem, schedule, self._fingerprint, problem.fingerprint)
            if own is not None and own != self.state.seeds:
                raise InputError("the run was begun with other seeds", expected=str(self.state.seeds), actual=str(own))
        image = _start_picture(problem, self.state.start) if problem.image is None else problem.image
        self.original: Shown = see_original(problem.models, schedule.reads(problem), image, problem.range)
        self._alone: dict[tuple[str, int], Scene] = {}

    def steps(self) -> Iterator[Step]:
        """One step after another, until the schedule ends."""
        while self.state.stage < len(self.schedule.stages):
            begun = time.perf_counter()
            self.state.busy = True
            with torch.inference_mode(False), torch.enable_grad(), determinism(self.deterministic):
                step = self._advance(self.schedule.stages[self.state.stage], begun)
            self.state.busy = False
            yield step

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run as it is, to resume from."""
        saving.save(self.state, path, self._fingerprint, self.problem.fingerprint)

    def result(self) -> Result:
        """What has been reached."""
        state, blend, original = self.state, self.schedule.blend, self.original.image
        with torch.no_grad():
            view = self._still(state.given)
            image, fitted = view.image, state.fitted
            masks: Mapping[str, Mask] = {}
            patches: tuple[Patch, ...] = ()
            if blend is not None:
                composed = self._compose(image)
                image, masks, patches = composed.image, composed.masks, composed.patches
                fitted = self._fitted(blend)
        shown = image.isfinite().flatten(1).all(dim=1)
        return Result(
            image=chosen(shown, image, original),
            original=original,
            generated=view.picture,
            fitted=fitted,
            latent=state.given["latent"],
            noises=noises_in(state.given),
            moved=by_mover({name: v.clone() if name in state.live else v for name, v in state.given.items()}),
            masks=masks,
            patches=patches,
            history=state.record.history(),
            status=tuple(sentence(state, self.schedule, i, bool(shown[i])) for i in range(len(original))),
            frozen=~state.active,
            seeds=state.seeds,
            seconds=state.seconds,
        )

    def _advance(self, stage: Stage, begun: float) -> Step:
        state = self.state
        if not state.entered:
            self._enter(stage)
        moving = state.active & ~state.stopped
        shaken = self._shaken()
        view = View(self._scene(stage), self._drawn_from(shaken), self._now())
        evaluation = stage.terms(view, state.step)
        if state.step == 0:
            check_gradients(stage, evaluation, moving)
        if state.index == 0 and view.drawn:
            check_drawn(view.picture.detach(), self.problem)
        for event in stage.before_backward:
            self._happen(event, stage, view, moving, view.given, saved=view)
        finite = backward(stage, evaluation, state.moving, moving)
        self._freeze(stage, evaluation, view, moving & ~finite)
        moved = moving & finite
        state.record.put(stage, evaluation, moved)
        remember(state, evaluation.total.detach(), moved, keep_best=stage.keep_best)
        stepping = moved & ~stopping(stage, state, moved)
        self._move(stage, stepping, shaken)
        for event in stage.after_step:
            self._happen(event, stage, view, stepping, state.given)
        done, index = state.step, state.index
        state.step += 1
        state.index += 1
        if state.step == stage.steps or not bool((state.active & ~state.stopped).any()):
            self._leave(stage)
        state.seconds += time.perf_counter() - begun
        return Step(
            stage=stage.name,
            step=done,
            steps=stage.steps,
            index=index,
            planned=self.schedule.steps,
            raw=MappingProxyType({name: value.detach() for name, value in evaluation.raw.items()}),
            weighted=MappingProxyType({name: value.detach() for name, value in evaluation.weighted.items()}),
            total=evaluation.total.detach(),
            image=view.image.detach() if view.drawn else None,
            given=dict(state.given),
            active=moved,
            seconds=state.seconds,
            _loop=self,
        )

    def _enter(self, stage: Stage) -> None:
        state = self.state
        if stage.variables:
            # What stays from before keeps its memory no more than it must.
            state.given = {name: v.clone() if name in state.live else v for name, v in state.given.items()}
            state.begun = dict(state.given)
            state.moving = [variable.begin(state.begun, self.problem) for variable in stage.variables]
            state.moving_since = state.stage
            for moving in state.moving:
                said = moving.said()
                for name, value in said.items():
                    before = state.given.get(name)
                    if before is None:  # from here on it is drawn from
                        before = _own(self.problem, name, value) if name in moving.live else value
                        state.start[name] = before
                    state.good[name] = before
                state.given |= said
        state.stopped = torch.zeros_like(state.active)
        state.best, state.memory = None, {}
        state.record.begin(stage, state.grown)
        state.entered = True
        with torch.no_grad():
            for event in stage.on_enter:
                view = View(self._scene(stage), state.given, self._now())
                self._happen(event, stage, view, state.active, state.given)

    def _leave(self, stage: Stage) -> None:
        state = self.state
        if state.best is not None:
            known = state.active & state.best.total.isfinite()
            self._set(known, state.best.given)
        blend = self.schedule.blend
        if blend is not None and blend.since == stage.name:
            with torch.no_grad():
                state.fitted = self._still(state.given).image
        state.stage += 1
        state.step = 0
        state.entered = False

    def _drawn_from(self, shaken: Mapping[str, Tensor]) -> Given:
        """What is drawn from, as the moving variables say it, with gradient, and shaken."""
        given: dict[str, Value] = dict(self.state.given)
        for moving in self.state.moving:
            given |= moving.values(range(self.problem.batch))
        return given | {name: stacked(given[name]) + noise for name, noise in shaken.items()}

    def _shaken(self) -> dict[str, Tensor]:
        noises: dict[str, Tensor] = {}
        for moving in self.state.moving:
            noises |= moving.shake(self.state.step, self.state.generators)
        return noises

    def _evaluator(self, stage: Stage, shaken: Mapping[str, Tensor]) -> Callable[[int], Tensor]:
        """The total of a single image, drawn anew from what its parameters say: for optimisers that ask often."""

        def evaluate(image: int) -> Tensor:
            key = stage.name, image
            if key not in self._alone:
                self._alone[key] = self._scene(stage).alone(image)
            given = one(self.state.given, image)
            for moving in self.state.moving:
                given |= moving.values([image])
            given |= {name: stacked(given[name]) + noise[image : image + 1] for name, noise in shaken.items()}
            with torch.enable_grad():
                return stage.terms(View(self._alone[key], given, self._now().alone(image)), self.state.step).total[0]

        return evaluate

    def _scene(self, stage: Stage | None) -> Scene:
        """What views of a stage, or of no stage, share."""
        return Scene(
            models=self.problem.models,
            reads=(stage or self.schedule).reads(self.problem),
            original=self.original,
            start=Start(self.state.start),
            range=self.problem.range,
            compose=None if self.schedule.blend is None else lambda image: self._compose(image).image,
        )

    def _now(self) -> Now:
        state = self.state
        return Now(state.grown, state.step, state.generators, state.memory)

    def _move(self, stage: Stage, stepping: Bool[Tensor, " b"], shaken: Mapping[str, Tensor]) -> None:
        """One step of every optimiser, for the images that move."""
        state, evaluate = self.state, self._evaluator(stage, shaken)
        active = stepping.tolist()
        for moving in state.moving:
            more = moving.step(state.step, active, state.record.so_far(stage), evaluate)
            state.record.count(stage, more)
        for moving in state.moving:
            state.given |= moving.said()

    def _happen(
        self,
        event: Event,
        stage: Stage,
        view: View,
        moving: Bool[Tensor, " b"],
        given: Given,
        saved: View | None = None,
    ) -> None:
        """Do what an event wants, to the images that move; before backward, also to what autograd saved."""
        state = self.state
        with torch.no_grad():
            change = event(
                Moment(
                    problem=self.problem,
                    view=view,
                    given={name: stacked(value).detach() for name, value in given.items()},
                    stage=stage.name,
                    step=state.step,
                    active=moving,
                    generators=state.generators,
                    memory=dict(state.memory),
                )
            )
            if change is None:
                return
            if not isinstance(change, Change):
                raise RunError(
                    f"{event!r} returned no change", expected="a Change or None", actual=type(change).__name__
                )
            values = apply(event, change, state, moving)
            self._set(moving, values)
            if saved is not None:
                for name in values:
                    stacked(saved.given[name]).data.copy_(state.given[name])

    def _set(self, which: Bool[Tensor, " b"], values: Mapping[str, Tensor]) -> None:
        """Put some images somewhere, in the state and in whatever moves them."""
        state = self.state
        if not values:
            return
        live = state.live
        wanted = dict(state.given) | {
            name: chosen(which, value, state.given[name]) for name, value in values.items() if name not in live
        }
        for moving in state.moving:
            for image in torch.nonzero(which).flatten().tolist():
                moving.assign(image, wanted | {name: value for name, value in values.items() if name in live})
        state.given = wanted

    def _freeze(self, stage: Stage, evaluation: Evaluation, view: View, bad: Bool[Tensor, " b"]) -> None:
        """Freeze the images in which something is not finite, where it last was, and say what it was."""
        state = self.state
        if not bool(bad.any()):
            return
        for image in torch.nonzero(bad).flatten().tolist():
            what = culprit(evaluation, view, image)
            state.notes[image].append(f"frozen in stage {stage.name!r} at step {state.step}: {what} is not finite")
        self._set(bad, state.good)
        state.active = state.active & ~bad

    def _still(self, given: Given) -> View:
        """What something shows outside of any stage."""
        return View(self._scene(None), given, Now(self.state.grown))

    def _compose(self, image: Image) -> Composition:
        """The picture that a generated one ends as, with gradient."""
        blend = self.schedule.blend
        assert blend is not None
        with torch.no_grad():
            fitted = self._fitted(blend)
        return compose(blend, self.problem, self.original, image, fitted, self.state.grown)

    def _fitted(self, blend: Blend | Several) -> Image | None:
        """The picture that the blend counts the change from, if it needs one."""
        if not blend.needs_fitted or self.state.fitted is not None:
            return self.state.fitted
        fitted = self._still(self.state.start).image
        if blend.since is None:
            self.state.fitted = fitted
        return fitted


def stopping(stage: Stage, state: State, moved: Bool[Tensor, " b"]) -> Bool[Tensor, " b"]:
    """Which images stop now, where they are, by the stage's rule; noted in the state.

    Raises:
        RunError: if the rule says something else.
    """
    if stage.stop is None:
        return torch.zeros_like(moved)
    says = stage.stop(state.record.so_far(stage))
    if not isinstance(says, Tensor) or says.shape != moved.shape:
        raise RunError(
            f"the rule that stops stage {stage.name!r} says nothing of each image",
            expected=f"a tensor of {len(moved)} booleans",
            actual=str(list(says.shape)) if isinstance(says, Tensor) else type(says).__name__,
        )
    now = moved & says.to(moved)
    for image in torch.nonzero(now).flatten().tolist():
        rule = getattr(stage.stop, "__qualname__", None) or str(stage.stop)
        state.notes[image].append(f"{stage.name!r} stopped after {state.step} of {stage.steps} steps ({rule})")
    state.stopped = state.stopped | now
    return now


def _own(problem: Problem, name: str, value: Tensor) -> Tensor:
    """The generator's own weight of that name, for each image, without a copy."""
    generator = problem.models.generator
    parameters = dict(generator.named_parameters()) if isinstance(generator, torch.nn.Module) else {}
    own = parameters.get(name.removeprefix("weights."))
    return value.clone() if own is None else own.detach().expand(value.shape)


def _start_picture(problem: Problem, start: Given) -> Image:
    """What the start draws, for problems without a picture."""
    with torch.no_grad():
        return draw(problem.models.generator, start)[0].to(problem.like)


def _seeds(seeds: Iterable[SupportsIndex], batch: int) -> tuple[int, ...]:
    """One whole number for each image."""
    try:
        own = tuple(operator.index(seed) for seed in seeds)
    except TypeError:
        own = ()
    if len(own) != batch:
        raise InputError(
            "one seed for each image", expected=f"a list of {batch} whole numbers", actual=repr(seeds)[:100]
        )
    return own
