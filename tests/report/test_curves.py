"""Loss curves."""

from pathlib import Path

import pytest
import torch
from PIL import Image as pil

from maskedit import report
from maskedit.solve import History
from tests.report.steps import history


def test_loss_curves_draw_each_term_once_in_the_legend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k)))
    report.loss_curves(history(), tmp_path / "losses.png")
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["preserve", "smiling", "total"]
    curves = [line for line in axes.lines if len(line.get_xdata()) in (2, 3)]
    assert [list(line.get_xdata()) for line in curves if len(line.get_xdata()) == 3] == [[0, 1, 2]]
    assert list(curves[0].get_ydata()) == [1.0, 0.5, 0.25]  # the image that stopped does not count
    with pil.open(tmp_path / "losses.png") as picture:
        assert picture.width > 600


def test_loss_curves_of_no_steps_are_an_empty_plot(tmp_path: Path) -> None:
    report.loss_curves(
        History({}, {}, torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.int64), ()), tmp_path / "losses.png"
    )
    assert (tmp_path / "losses.png").is_file()
