"""Attributes of training photos as the eye sees them: the table's form."""

import csv

import pytest

from benchmarks.faces import DATA
from maskedit.attributes import HAIR_SHAPES


def table() -> list[dict[str, str]]:
    with (DATA / "seen_attributes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_photos_are_those_that_are_not_held_out() -> None:
    names = [row["file"] for row in table()]
    assert len(set(names)) == len(names) == 1203
    with (DATA / "checked_attributes.csv").open(newline="") as file:
        assert not {row["file"] for row in csv.DictReader(file)} & set(names)
    with (DATA / "measures.csv").open(newline="") as file:
        assert set(names) < {row["file"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("attribute", [name for name in table()[0] if name != "file"])
def test_values_are_words_of_the_eye_and_both_occur(attribute: str) -> None:
    values = [row[attribute] for row in table()]
    assert set(values) == {"0", "1", ""}
    assert min(values.count("0"), values.count("1")) >= 50


def test_hair_has_one_shape_at_most() -> None:
    assert not [row["file"] for row in table() if all(row[shape] == "1" for shape in HAIR_SHAPES)]
