"""Classifier and judge learn from other people."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from maskedit.training.faces import half_of, load_faces

SURNAMES = st.sampled_from(["granger", "payne", "rose", "meng", "steil", "o'rourke", "young"])


@given(st.sampled_from(["kay", "john", "mary-ann"]), SURNAMES, st.integers(0, 999999))
def test_one_person_is_in_one_half_whatever_the_source(first: str, last: str, number: int) -> None:
    by_name = half_of({"file": "a.jpg", "source_path": f"headshots/{first}-{last}.jpg"})
    by_number = half_of({"file": "b.jpg", "source_path": f"images/{last[0].upper()}{number:06d}.jpg"})
    assert by_name == by_number


def test_a_grid_of_look_alikes_is_in_one_half_and_grids_are_in_both() -> None:
    halves = [half_of({"file": f"{i}.jpg", "source_path": f"crop of grid_age_{i // 4}.png"}) for i in range(80)]
    assert all(len(set(halves[i : i + 4])) == 1 for i in range(0, 80, 4))
    assert set(halves) == {"a", "b"}


def test_the_halves_make_up_the_whole(drawn_faces: Path) -> None:
    whole, a, b = (load_faces(drawn_faces, "train", half).names for half in (None, "a", "b"))
    assert a
    assert b
    assert sorted(a + b) == sorted(whole)
