"""Ctrl-C and SIGTERM between steps, and torch's switch for deterministic algorithms."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], bool]]:
    """Hold the first Ctrl-C or SIGTERM back until the step is done; says whether there was one."""
    pressed = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    if threading.current_thread() is not threading.main_thread():  # only the main thread may
        yield lambda: False
        return
    # Only Python's own handlers mean what we think they mean: a signal that is ignored stays ignored.
    ours = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.getsignal(number) for number in SIGNALS}
    held = [number for number in SIGNALS if before[number] is ours[number] or before[number] == ours[number]]
    for number in held:
        signal.signal(number, hold)
    try:
        yield lambda: pressed
    finally:
        for number in held:
            signal.signal(number, before[number])


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
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
