"""The loop: ``steps`` yields one Step after another, ``run`` folds them into a Result.

A step is: draw (events on entering a stage), forward, events before backward, backward, the optimiser's
step, events after it. This is the only place that changes anything.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType

import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.blending import Blend, Patch, Several
from maskedit.errors import InputError, RunError
from maskedit.problem import Problem
from maskedit.schedule import Change, Event, Moment, Schedule, Stage
from maskedit.solve import state as states
from maskedit.solve.compose import Composition, compose
from maskedit.solve.result import History, Result, Step
from maskedit.solve.state import Best, Series
from maskedit.terms import Evaluation, Shown, Start, View, see_original
from maskedit.types import Image, Latent, Mask, NoiseMap


def steps(
    problem: Problem,
    schedule: Schedule,
    *,
    seeds: Sequence[int] | None = None,
    deterministic: bool = False,
    resume: str | os.PathLike[str] | None = None,
) -> Iterator[Step]:
    """The optimisation, one step at a time.

    Break off whenever you like; ``step.result()`` gives what was reached, ``step.save(path)`` a file to
    resume from. Everything is checked before the first step.

    Args:
        problem: what to edit.
        schedule: how.
        seeds: one per image, for the events that draw; 0 for all by default.
        deterministic: use torch's deterministic algorithms inside each step.
        resume: a file written by ``step.save`` of the same problem and schedule.

    Returns:
        An iterator of steps.

    Raises:
        InputError: if the problem lacks what the schedule needs.
        CheckpointError: if the file to resume from is another run's.
        RunError: in a step, if a term cannot be evaluated.
    """
    return _Run(problem, schedule, seeds=seeds, deterministic=deterministic, resume=resume).steps()


def run(
    problem: Problem,
    schedule: Schedule,
    *,
    seeds: Sequence[int] | None = None,
    watch: Callable[[Step], None] | None = None,
    deterministic: bool = False,
    save: str | os.PathLike[str] | None = None,
    save_every: int = 50,
    resume: str | os.PathLike[str] | None = None,
) -> Result:
    """The whole optimisation, and the blend that ends it.

    Ctrl-C ends it after the step under way, and what was reached is returned (and saved); a second
    Ctrl-C ends it at once.

    Args:
        problem: what to edit.
        schedule: how.
        seeds: one per image, for the events that draw; 0 for all by default.
        watch: called with each step, such as :func:`maskedit.report.progress`.
        deterministic: use torch's deterministic algorithms inside each step.
        save: a file to save the run to while it goes.
        save_every: after how many steps.
        resume: a file to go on from.

    Raises:
        InputError: if the problem lacks what the schedule needs.
        CheckpointError: if the file to resume from is another run's.
        RunError: in a step, if a term cannot be evaluated.
    """
    if save_every < 1:
        raise InputError("save_every is a number of steps", expected="at least 1", actual=str(save_every))
    folder = Path(save or ".").parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InputError(f"the run cannot be saved to {save}", expected="a folder that exists and can be written to")
    this = _Run(problem, schedule, seeds=seeds, deterministic=deterministic, resume=resume)
    interrupted = False
    try:
        with _interrupts_between_steps() as asked:
            for step in this.steps():
                if watch is not None:
                    watch(step)
                if asked():
                    raise KeyboardInterrupt
                if save is not None and (step.index + 1) % save_every == 0:
                    step.save(save)
    except KeyboardInterrupt:
        if this.state.index == 0:
            raise
        interrupted = True
    if save is not None and not this.state.busy:
        states.save(this.state, save, problem, schedule)
    return this.result(interrupted=interrupted)


class _Run:
    """One problem, one schedule, one state."""

    def __init__(
        self,
        problem: Problem,
        schedule: Schedule,
        *,
        seeds: Sequence[int] | None,
        deterministic: bool,
        resume: str | os.PathLike[str] | None,
    ) -> None:
        schedule.check(problem)
        batch = len(problem.image)
        if seeds is not None and (isinstance(seeds, int) or len(seeds) != batch):
            raise InputError("one seed for each image", expected=f"a list of {batch}", actual=repr(seeds))
        self.problem, self.schedule, self.deterministic = problem, schedule, deterministic
        if resume is None:
            self.state = states.begin(problem, tuple(seeds or (0,) * batch))
        else:
            self.state = states.load(resume, problem, schedule)
            if seeds is not None and tuple(seeds) != self.state.seeds:
                raise InputError(
                    "the run was begun with other seeds", expected=str(self.state.seeds), actual=str(seeds)
                )
        self.original: Shown = see_original(problem.models, schedule.reads(problem), problem.image)
        self.start = Start(self.state.start)

    def steps(self) -> Iterator[Step]:
        while self.state.stage < len(self.schedule.stages):
            begun = time.perf_counter()
            self.state.busy = True
            with torch.enable_grad(), _determinism(self.deterministic):
                step = self._advance(self.schedule.stages[self.state.stage], begun)
            self.state.busy = False
            yield step

    def _advance(self, stage: Stage, begun: float) -> Step:
        state = self.state
        if not state.entered:
            self._enter(stage)
        moving = state.active & ~state.stopped
        view = self._view(stage, *self._current())
        evaluation = stage.terms(view, state.step)
        for event in stage.before_backward:
            self._apply(event, stage, view, moving, view.latent, view.noises, saved=view)
        finite = self._backward(stage, evaluation, moving)
        self._freeze(stage, evaluation, view, moving & ~finite)
        moved = moving & finite
        self._record(stage, evaluation, moved)
        for variable in state.moving:
            variable.step(state.step, moved.tolist())
        latent, noises = self._current()
        state.latent, state.noises = latent.detach(), tuple(noise.detach() for noise in noises)
        for event in stage.after_step:
            self._apply(event, stage, view, moved, state.latent, state.noises)
        if stage.stop is not None:
            self._stop(stage, moved)
        state.step += 1
        state.index += 1
        done = state.step - 1
        if state.step == stage.steps or not bool((state.active & ~state.stopped).any()):
            self._leave(stage)
        state.seconds += time.perf_counter() - begun
        return Step(
            stage=stage.name,
            step=done,
            steps=stage.steps,
            index=state.index - 1,
            planned=self.schedule.steps,
            raw=MappingProxyType({name: value.detach() for name, value in evaluation.raw.items()}),
            weighted=MappingProxyType({name: value.detach() for name, value in evaluation.weighted.items()}),
            total=evaluation.total.detach(),
            image=view.image.detach() if view.drawn else None,
            latent=state.latent,
            noises=state.noises,
            active=moved,
            seconds=state.seconds,
            _save=self._save,
            _result=self._result,
        )

    def _enter(self, stage: Stage) -> None:
        state = self.state
        if stage.variables:
            latents = self.problem.models.latents
            state.moving = [v.begin(state.latent, state.noises, latents) for v in stage.variables]
            state.moving_since = state.stage
        state.stopped = torch.zeros_like(state.active)
        state.best = None
        empty = {name: _blank(state.active, stage.steps, state.latent) for name in ("", *stage.terms.names)}
        state.series[stage.name] = Series(
            raw={name: empty[name] for name in stage.terms.names},
            weighted={name: empty[name].clone() for name in stage.terms.names},
            total=empty[""],
        )
        state.entered = True
        with torch.no_grad():
            for event in stage.on_enter:
                view = self._view(stage, state.latent, state.noises)
                self._apply(event, stage, view, state.active, state.latent, state.noises)

    def _leave(self, stage: Stage) -> None:
        state = self.state
        series = state.series[stage.name]
        series.total = series.total[:, : state.step]
        for values in (series.raw, series.weighted):
            values.update({name: value[:, : state.step] for name, value in values.items()})
        if state.best is not None:
            known = state.active & state.best.total.isfinite()
            self._set(known, state.best.latent, state.best.noises)
        blend = self.schedule.blend
        if blend is not None and blend.since == stage.name:
            state.fitted = self._generate()
        state.stage += 1
        state.step = 0
        state.entered = False

    def _current(self) -> tuple[Latent, tuple[NoiseMap, ...]]:
        """The latent and maps as the moving variables say them, with gradient."""
        latent, noises = self.state.latent, self.state.noises
        for variable in self.state.moving:
            moved_latent, moved_noises = variable.latent(), variable.noises()
            latent = latent if moved_latent is None else moved_latent
            noises = noises if moved_noises is None else tuple(moved_noises)
        return latent, noises

    def _view(self, stage: Stage, latent: Latent, noises: tuple[NoiseMap, ...]) -> View:
        return View(
            models=self.problem.models,
            reads=stage.reads(self.problem),
            latent=latent,
            noises=noises,
            original=self.original,
            start=self.start,
            grown=self.state.grown,
            compose=None if self.schedule.blend is None else lambda image: self._compose(image).image,
        )

    def _backward(self, stage: Stage, evaluation: Evaluation, moving: Bool[Tensor, " b"]) -> Bool[Tensor, " b"]:
        """Gradients of each moving image's total, for its own parameters; and which of them are finite."""
        finite = evaluation.total.detach().isfinite()
        wanted = moving & finite
        if not bool(wanted.any()):
            return finite
        if not evaluation.total.requires_grad:
            raise RunError(
                f"nothing to optimise in stage {stage.name!r}: no term depends on what it varies",
                hint="Check vary=, and that losses and models let gradient through.",
            )
        parameters = [p for variable in self.state.moving for image in variable.parameters for p in image]
        # Only the wanted gradients: the models' own weights, frozen or not, are left alone.
        gradients = torch.autograd.grad(evaluation.total[wanted].sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        for variable in self.state.moving:
            finite = finite & variable.gradient_is_finite()
        return finite

    def _apply(
        self,
        event: Event,
        stage: Stage,
        view: View,
        moving: Bool[Tensor, " b"],
        latent: Latent,
        noises: tuple[NoiseMap, ...],
        saved: View | None = None,
    ) -> None:
        """Do what an event wants, to the images that move; before backward, also to what autograd saved."""
        state = self.state
        with torch.no_grad():
            change = event(
                Moment(
                    problem=self.problem,
                    view=view,
                    latent=latent.detach(),
                    noises=tuple(noise.detach() for noise in noises),
                    stage=stage.name,
                    step=state.step,
                    active=moving,
                    generators=state.generators,
                )
            )
            if change is None:
                return
            if not isinstance(change, Change):
                raise RunError(f"{event!r} returned no change", expected="a Change or None", actual=repr(change))
            self._check(event, change)
            if change.grown is not None:
                state.grown = _where(moving, change.grown, state.grown)
            if change.latent is not None or change.noises is not None:
                new_latent = latent.detach() if change.latent is None else change.latent
                new_noises = [noise.detach() for noise in noises] if change.noises is None else change.noises
                self._set(moving, new_latent, new_noises)
                if saved is not None:
                    for old, new in zip(saved.noises, state.noises, strict=True):
                        old.data.copy_(new)

    def _check(self, event: Event, change: Change) -> None:
        pairs = [("latent", change.latent, self.state.latent), ("grown", change.grown, self.state.grown)]
        pairs += [
            (f"noise map {i}", new, old)
            for i, (new, old) in enumerate(zip(change.noises or (), self.state.noises, strict=False))
        ]
        if change.noises is not None and len(change.noises) != len(self.state.noises):
            raise RunError(f"{event!r} returned {len(change.noises)} noise maps", expected=str(len(self.state.noises)))
        for name, new, old in pairs:
            if new is not None and new.shape != old.shape:
                raise RunError(
                    f"{event!r} returned a {name} of the wrong shape",
                    expected=str(list(old.shape)),
                    actual=str(list(new.shape)),
                )

    def _set(self, which: Bool[Tensor, " b"], latent: Latent, noises: Sequence[NoiseMap]) -> None:
        """Put some images somewhere, in the state and in whatever moves them."""
        state = self.state
        state.latent = _where(which, latent, state.latent)
        state.noises = tuple(_where(which, new, old) for new, old in zip(noises, state.noises, strict=True))
        for variable in state.moving:
            for image in torch.nonzero(which).flatten().tolist():
                variable.assign(image, state.latent, state.noises)

    def _freeze(self, stage: Stage, evaluation: Evaluation, view: View, bad: Bool[Tensor, " b"]) -> None:
        """Freeze the images in which something is not finite, where it last was, and say what it was."""
        if not bool(bad.any()):
            return
        state = self.state
        for image in torch.nonzero(bad).flatten().tolist():
            culprits = [f"term {name!r}" for name, value in evaluation.raw.items() if not value[image].isfinite()]
            if not culprits and not evaluation.total[image].isfinite():
                culprits = [f"the weight of {n!r}" for n, v in evaluation.weighted.items() if not v[image].isfinite()]
            if culprits and view.drawn and not bool(view.image[image].isfinite().all()):
                culprits = ["the generated image", *culprits]
            what = culprits[0] if culprits else "the gradient"
            state.notes[image].append(f"frozen in stage {stage.name!r} at step {state.step}: {what} is not finite")
        self._set(bad, *state.good)
        state.active = state.active & ~bad

    def _record(self, stage: Stage, evaluation: Evaluation, moved: Bool[Tensor, " b"]) -> None:
        """Put the step's values into the history, and remember the latent that they are of."""
        state = self.state
        series, nan = state.series[stage.name], float("nan")
        total = evaluation.total.detach()
        series.total[:, state.step] = total.masked_fill(~moved, nan)
        for name in stage.terms.names:
            series.raw[name][:, state.step] = evaluation.raw[name].detach().masked_fill(~moved, nan)
            series.weighted[name][:, state.step] = evaluation.weighted[name].detach().masked_fill(~moved, nan)
        state.good = (
            _where(moved, state.latent, state.good[0]),
            tuple(_where(moved, new, old) for new, old in zip(state.noises, state.good[1], strict=True)),
        )
        if stage.keep_best:
            best = state.best or Best(torch.full_like(total, float("inf")), state.latent, state.noises)
            better = moved & (total < best.total)
            state.best = Best(
                torch.where(better, total, best.total),
                _where(better, state.latent, best.latent),
                tuple(_where(better, new, old) for new, old in zip(state.noises, best.noises, strict=True)),
            )

    def _stop(self, stage: Stage, moved: Bool[Tensor, " b"]) -> None:
        state, series = self.state, self.state.series[stage.name]
        assert stage.stop is not None
        done = state.step + 1
        so_far = {"total": series.total[:, :done], **{name: v[:, :done] for name, v in series.raw.items()}}
        stopping = moved & stage.stop(so_far)
        for image in torch.nonzero(stopping).flatten().tolist():
            state.notes[image].append(f"{stage.name!r} stopped after {done} of {stage.steps} steps ({stage.stop})")
        state.stopped = state.stopped | stopping

    def _generate(self) -> Tensor:
        with torch.no_grad():
            return self.problem.models.generator.synthesize(self.state.latent, self.state.noises)

    def _save(self, step: Step, path: str | os.PathLike[str]) -> None:
        self._must_be_latest(step)
        states.save(self.state, path, self.problem, self.schedule)

    def _result(self, step: Step) -> Result:
        self._must_be_latest(step)
        return self.result(interrupted=self.state.stage < len(self.schedule.stages))

    def _must_be_latest(self, step: Step) -> None:
        if step.index != self.state.index - 1:
            raise RunError(
                f"the loop has gone on from step {step.index} to step {self.state.index - 1}",
                hint="Save, or take the result, before asking for the next step.",
            )

    def result(self, *, interrupted: bool) -> Result:
        state, blend = self.state, self.schedule.blend
        generated = self._generate()
        original = self.problem.image
        image, masks, fitted = generated, dict[str, Mask](), state.fitted
        patches: tuple[Patch, ...] = ()
        with torch.no_grad():
            if blend is not None:
                composed = self._compose(generated)
                image, masks, patches = composed.image, dict(composed.masks), composed.patches
                fitted = self._fitted(blend)
        shown = image.isfinite().flatten(1).all(dim=1)
        image = _where(shown, image, original)
        return Result(
            image=image,
            generated=generated,
            fitted=fitted,
            latent=state.latent,
            noises=state.noises,
            masks=MappingProxyType(masks),
            patches=patches,
            history=self._history(),
            status=tuple(self._sentence(i, bool(shown[i]), interrupted) for i in range(len(original))),
            frozen=~state.active,
            seeds=state.seeds,
            seconds=state.seconds,
        )

    def _compose(self, generated: Image) -> Composition:
        """The picture that a generated one ends as, with gradient."""
        blend = self.schedule.blend
        assert blend is not None
        with torch.no_grad():
            fitted = self._fitted(blend)
        return compose(blend, self.problem, self.original, generated, fitted, self.state.grown)

    def _fitted(self, blend: Blend | Several) -> Image | None:
        """The picture that the blend counts the change from, if it needs one."""
        if not blend.needs_fitted or self.state.fitted is not None:
            return self.state.fitted
        fitted = self.problem.models.generator.synthesize(self.state.start, self.problem.start_noises())
        if blend.since is None:
            self.state.fitted = fitted
        return fitted

    def _history(self) -> History:
        state = self.state
        done = {}
        for position, stage in enumerate(self.schedule):
            if stage.name in state.series:
                here = position == state.stage
                done[stage.name] = state.step if here else state.series[stage.name].total.shape[1]
        raw, weighted = (
            {
                f"{stage}.{name}": values[:, : done[stage]].clone()
                for stage, series in state.series.items()
                for name, values in getattr(series, kind).items()
            }
            for kind in ("raw", "weighted")
        )
        totals = [series.total[:, : done[stage]] for stage, series in state.series.items()]
        return History(
            raw=MappingProxyType(raw),
            weighted=MappingProxyType(weighted),
            total=torch.cat(totals, dim=1),
            stages=tuple(done.items()),
        )

    def _sentence(self, image: int, shown: bool, interrupted: bool) -> str:
        state = self.state
        parts = list(state.notes[image])
        if bool(state.active[image]):
            if interrupted and state.stage < len(self.schedule.stages):
                stage = self.schedule.stages[state.stage]
                parts.append(f"ended early in stage {stage.name!r}, after {state.step} of {stage.steps} steps")
            else:
                parts.append("finished")
        if not shown:
            parts.append("the generated image is not finite: the input is returned")
        sentence = "; ".join(parts)
        return sentence[0].upper() + sentence[1:] + "."


def _blank(active: Bool[Tensor, " b"], steps: int, like: Tensor) -> Tensor:
    return torch.full((len(active), steps), float("nan"), dtype=like.dtype, device=like.device)


def _where(which: Bool[Tensor, " b"], new: Tensor, old: Tensor) -> Tensor:
    """New values for some images; the others keep theirs."""
    if bool(which.all()):
        return new
    return torch.where(which.view(-1, *[1] * (new.ndim - 1)), new, old)


@contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    """Torch's switch for deterministic algorithms, put back on leaving, also by an error."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def _interrupts_between_steps() -> Iterator[Callable[[], bool]]:
    """Hold the first Ctrl-C back until the step is done; says whether there was one."""
    pressed = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    handler = signal.getsignal(signal.SIGINT)
    # Only the main thread may, and only Python's own handler means what we think it means.
    if threading.current_thread() is not threading.main_thread() or handler is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, handler)
