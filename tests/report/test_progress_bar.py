"""Progress bars."""

import io
import math

import pytest
import torch

from maskedit import report
from tests.report.steps import step


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to a terminal from here on (no fixture: pytest sets stderr again after those)."""
    written = io.StringIO()
    written.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", written)
    return written


def test_progress_shows_stage_step_terms_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    bar = report.progress()
    bar(step(0))
    bar._bar.refresh()
    line = written.getvalue().rsplit("\r", 1)[-1]
    assert "fit 1/3" in line
    assert "preserve 1 " in line  # the mean over the batch
    assert "smiling 0.25" in line
    assert "1/5" in line
    assert "<" in line  # tqdm's "done<left"
    bar.close()


def test_progress_closes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    bar = report.progress()
    for index in range(5):
        assert bar._bar is None or not bar._bar.disable
        bar(step(index))
    assert bar._bar.disable  # tqdm's mark of a closed bar
    assert "edit 2/2" in written.getvalue().rsplit("\r", 1)[-1]
    assert written.getvalue().endswith("\n")
    bar.close()


def test_progress_counts_on_after_a_stage_that_stopped_early(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    bar = report.progress()
    bar(step(0))
    bar(step(3, index=1))
    assert bar._bar.total == 3
    bar(step(4, index=2))
    assert bar._bar.disable


def test_progress_goes_on_where_a_run_was_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    bar = report.progress()
    bar(step(3))
    assert bar._bar.n == 4
    assert bar._bar.total == 5
    bar.close()


def test_progress_is_closed_by_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    with report.progress() as bar:
        bar(step(0))
    assert bar._bar.disable


def test_progress_without_a_step_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    with report.progress():
        pass
    assert written.getvalue() == ""


def test_progress_survives_values_that_are_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    with report.progress() as bar:
        bar(step(0, weighted={"preserve": torch.tensor([math.nan, math.nan])}))
    assert "preserve nan" in written.getvalue()
