"""A progress bar while a run goes."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from maskedit.solve import Step

if TYPE_CHECKING:
    from tqdm.auto import tqdm


def progress() -> "Progress":
    """A bar for ``run(..., watch=progress())``: stage, step, each term with its weight, time left.

    It goes to stderr and closes itself at the last planned step. Use it as a context manager where the
    last stage may stop early, or where other output follows at once.
    """
    return Progress()


class Progress:
    """A progress bar that is called with each step; see :func:`progress`."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._last: Step | None = None

    def __call__(self, step: Step) -> None:
        """Show one step."""
        if self._bar is None:
            from tqdm.auto import tqdm

            # In a log, where lines pile up, one line in ten seconds is enough.
            pause = 0.1 if sys.stderr.isatty() or "ipykernel" in sys.modules else 10.0
            self._bar = tqdm(total=step.planned, initial=step.index, mininterval=pause, dynamic_ncols=True, unit="step")
        last = self._last
        if last is not None and last.stage != step.stage:
            self._bar.total -= last.steps - last.step - 1  # steps that an early stop has saved
        terms = "  ".join(f"{name} {_mean(value):.3g}" for name, value in step.weighted.items())
        self._bar.set_description_str(f"{step.stage} {step.step + 1}/{step.steps}", refresh=False)
        self._bar.set_postfix_str(terms, refresh=False)
        self._bar.update()
        self._last = step
        if self._bar.n >= self._bar.total:
            self.close()

    def close(self) -> None:
        """Leave the bar as it stands. Closing twice does no harm."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _mean(values: Float[Tensor, " b"]) -> float:
    """Mean of the finite ones, as a number to print."""
    return values.detach().nanmean().item()
