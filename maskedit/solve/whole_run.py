"""``run``: all steps of the loop, folded into a Result; saved while they go, ended by Ctrl-C between two of them."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import SupportsIndex

from maskedit.errors import CheckpointError, InputError
from maskedit.problem import Problem
from maskedit.schedule import Schedule
from maskedit.solve.interrupts import interrupts_between_steps
from maskedit.solve.loop import Loop
from maskedit.solve.result import Result, Step


def run(
    problem: Problem,
    schedule: Schedule,
    *,
    seeds: Iterable[SupportsIndex] | None = None,
    watch: Callable[[Step], object] | None = None,
    deterministic: bool = False,
    save: str | os.PathLike[str] | None = None,
    save_every: int = 50,
    resume: str | os.PathLike[str] | None = None,
) -> Result:
    """The whole optimisation, and the blend that ends it.

    Ctrl-C or SIGTERM ends it after the step under way, and what was reached is returned (and saved); a second
    one ends it at once. A save that fails is warned of and tried again later; what could not be saved to its place
    at the end is saved among the temporary files, and a warning says where.

    Args:
        problem: what to edit.
        schedule: how.
        seeds: one per image, for what draws; 0 for all by default.
        watch: called with each step, such as :func:`maskedit.report.progress`. If it raises, the run is saved if it
            is to be, and the exception has what was reached as its attribute ``result``.
        deterministic: use torch's deterministic algorithms inside each step.
        save: a file to save the run to while it goes.
        save_every: after how many steps.
        resume: a file to go on from.

    Raises:
        InputError: if the problem lacks what the schedule needs.
        CheckpointError: if the file to resume from is another run's.
        RunError: in a step, if a term cannot be evaluated.
    """
    _check_saving(save, save_every)
    if watch is not None and not callable(watch):
        raise InputError(
            "watch is not to be called", expected="a function of a step, such as progress()", actual=repr(watch)
        )
    loop = Loop(problem, schedule, seeds=seeds, deterministic=deterministic, resume=resume)
    try:
        with interrupts_between_steps() as asked:
            for step in loop.steps():
                if watch is not None:
                    _watch(watch, step, loop, save)
                if asked():
                    raise KeyboardInterrupt
                if save is not None and (step.index + 1) % save_every == 0:
                    _try_to_save(loop, save)
    except KeyboardInterrupt:
        if loop.state.index == 0:
            raise
    if save is not None and not loop.state.busy:
        _save_somewhere(loop, save)
    return loop.result()


def _check_saving(save: str | os.PathLike[str] | None, save_every: int) -> None:
    if save_every < 1:
        raise InputError("save_every is a number of steps", expected="at least 1", actual=str(save_every))
    folder = Path(save or ".").parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InputError(f"the run cannot be saved to {save}", expected="a folder that exists and can be written to")
    if save is not None and Path(save).is_dir():
        raise InputError(f"the run cannot be saved to {save}", expected="a file's name", actual="a folder")


def _watch(watch: Callable[[Step], object], step: Step, loop: Loop, save: str | os.PathLike[str] | None) -> None:
    """Call it; if it raises, what was reached goes with the exception."""
    try:
        watch(step)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if save is not None:
            _save_somewhere(loop, save)
        error.result = loop.result()  # type: ignore[attr-defined]
        error.add_note("What the run had reached is this exception's attribute `result`.")
        raise


def _try_to_save(loop: Loop, path: str | os.PathLike[str]) -> bool:
    """Save; warn if that fails. A run goes on without a save."""
    try:
        loop.save(path)
    except CheckpointError as error:
        warnings.warn(f"{str(error).rstrip('.')}; the run goes on, and tries again.", RuntimeWarning, stacklevel=3)
        return False
    return True


def _save_somewhere(loop: Loop, path: str | os.PathLike[str]) -> None:
    """Save to the path, or else where there is room."""
    try:
        loop.save(path)
    except CheckpointError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="maskedit-"), Path(path).name)
        try:
            loop.save(elsewhere)
        except CheckpointError:
            warnings.warn(f"{str(error).rstrip('.')}, nor anywhere else.", RuntimeWarning, stacklevel=3)
        else:
            warnings.warn(f"{str(error).rstrip('.')}; it is in {elsewhere}.", RuntimeWarning, stacklevel=3)
