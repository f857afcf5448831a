"""Attributes of training photos as the eye sees them: the table's form, and how it stands in for measurements."""

import csv
import math

import pytest
import torch

from maskedit.attributes import HAIR_SHAPES
from maskedit.training.seen import DATA, SEEN, seen_over


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


@pytest.mark.parametrize("attribute", SEEN)
def test_values_are_words_of_the_eye_and_both_occur(attribute: str) -> None:
    values = [row[attribute] for row in table()]
    assert set(values) == {"0", "1", ""}
    assert min(values.count("0"), values.count("1")) >= 50


def test_hair_has_one_shape_at_most() -> None:
    assert not [row["file"] for row in table() if all(row[shape] == "1" for shape in HAIR_SHAPES)]


def test_stands_in_for_what_was_measured_of_photos_that_were_seen() -> None:
    row = next(row for row in table() if row["young"] == "1" and not row["big_nose"])
    known = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    found = seen_over(known, [row["file"], "me.jpg"], ["young", "big_nose", "smiling"])
    assert found[0, 0] == 1
    assert math.isnan(found[0, 1])
    assert found[0, 2] == 0
    assert found[1].tolist() == [0.0, 1.0, 0.0] == known[0].tolist()
