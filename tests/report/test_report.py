"""Progress bars, contact sheets, loss curves and films."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image as pil

from maskedit import report
from maskedit.errors import FileError, InputError
from maskedit.solve import History, Step


def step(position: int, *, stages: tuple[tuple[str, int], ...] = (("fit", 3), ("edit", 2)), **changes: object) -> Step:
    """The step that comes at ``position`` when no stage stops early."""
    before, (stage, steps), *others = 0, *stages
    while position >= before + steps:
        before, (stage, steps), *others = before + steps, *others
    values = {"preserve": torch.tensor([0.5, 1.5]), "smiling": torch.tensor([0.25, 0.25])}
    facts = {
        "stage": stage,
        "step": position - before,
        "steps": steps,
        "index": position,
        "planned": sum(steps for _, steps in stages),
        "raw": values,
        "weighted": values,
        "total": torch.tensor([0.75, 1.75]),
        "image": torch.full((2, 3, 8, 8), position / 10),
        "latent": torch.zeros(2, 4, 6),
        "noises": (),
        "active": torch.tensor([True, True]),
        "seconds": 0.1 * position,
        "_save": lambda step, path: None,
        "_result": lambda step: None,
    }
    return Step(**{**facts, **changes})


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


def test_sheet_shows_each_column_and_row(tmp_path: Path) -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(2, 3, 40, 20)
    grey = torch.full((2, 1, 16, 16), 0.5)
    report.sheet({"before": red, "mask": grey}, tmp_path / "sheet.png", height=64)
    with pil.open(tmp_path / "sheet.png") as picture:
        page = picture.convert("RGB")
    colours = {colour: count for count, colour in page.getcolors(10_000)}
    assert colours[(255, 0, 0)] == 2 * 64 * 32
    assert colours[(128, 128, 128)] >= 2 * 64 * 64
    assert colours[(0, 0, 0)] > 0  # captions


def test_sheet_refuses_columns_of_different_lengths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"as many images in each; got \{'before': 2, 'after': 1\}"):
        report.sheet({"before": torch.rand(2, 3, 8, 8), "after": torch.rand(1, 3, 8, 8)}, tmp_path / "sheet.png")
    with pytest.raises(InputError, match="as many images"):
        report.sheet({}, tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())


def history() -> History:
    weighted = {
        "fit.preserve": torch.tensor([[1.0, 0.5, 0.25], [1.0, 0.5, torch.nan]]),
        "edit.preserve": torch.tensor([[0.2, 0.2], [0.2, 0.2]]),
        "edit.smiling": torch.tensor([[0.1, 0.0], [0.1, 0.0]]),
    }
    return History(weighted, weighted, torch.rand(2, 5), (("fit", 3), ("edit", 2)))


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
    report.loss_curves(History({}, {}, torch.zeros(1, 0), ()), tmp_path / "losses.png")
    assert (tmp_path / "losses.png").is_file()


def test_film_keeps_one_step_in_so_many(tmp_path: Path) -> None:
    film = report.Film(every=2, image=1)
    for index in range(5):
        film(step(index))
    film(step(4, image=None))
    assert [frame[0, 0, 0, 0].item() for frame in film.frames] == pytest.approx([0.0, 0.2, 0.4])
    film.save(tmp_path / "film.gif", height=16)
    with pil.open(tmp_path / "film.gif") as picture:
        assert (picture.n_frames, picture.size) == (3, (16, 16))


def test_an_empty_film_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the film is empty"):
        report.Film().save(tmp_path / "film.gif")
    with pytest.raises(InputError, match="every >= 1"):
        report.Film(every=0)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: report.sheet({"a": torch.rand(1, 3, 8, 8)}, path),
        lambda path: report.loss_curves(history(), path),
    ],
)
def test_unwritable_places_get_a_sentence(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with pytest.raises(FileError, match="cannot write"):
        write(tmp_path / "nowhere" / "picture.png")
