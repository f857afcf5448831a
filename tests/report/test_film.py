"""Films of a run."""

from pathlib import Path

import pytest
from PIL import Image as pil

from maskedit import report
from maskedit.errors import InputError
from tests.report.steps import step


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
