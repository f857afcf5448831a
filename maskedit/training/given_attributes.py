"""Attributes of photos that somebody gave by looking at them, in a CSV file."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError

LABELS = {"1": 1.0, "0": 0.0, "-1": 0.0, "": math.nan}
"""What a field may hold: present, absent (twice: CelebA writes -1), or not to be said."""


@dataclass(frozen=True)
class GivenAttributes:
    """A table of labels: 1 present, 0 absent, NaN where one could not say.

    Args:
        attributes: the columns.
        rows: a label for each column, by the photo's file name.
    """

    attributes: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]

    def over(
        self, known: Float[Tensor, "n attributes"], photos: Sequence[str], attributes: Sequence[str]
    ) -> Float[Tensor, "n attributes"]:
        """Other labels with these in their place.

        Args:
            known: the other labels, such as measured ones.
            photos: their photos' file names; those that are not in the table keep their labels.
            attributes: their columns; those that are not in the table keep their labels.
        """
        known = known.clone()
        columns = [(i, self.attributes.index(name)) for i, name in enumerate(attributes) if name in self.attributes]
        for row, photo in enumerate(photos):
            if photo in self.rows:
                for column, own in columns:
                    known[row, column] = self.rows[photo][own]
        return known

    def of(self, photos: Sequence[str]) -> Float[Tensor, "n attributes"]:
        """The labels of these photos.

        Raises:
            InputError: if a photo is not in the table.
        """
        if missing := [photo for photo in photos if photo not in self.rows]:
            raise InputError(f"the table lacks {len(missing)} of the photos", actual=f"no row for {missing[0]}")
        return torch.tensor([self.rows[photo] for photo in photos]).reshape(len(photos), len(self.attributes))


def read_attributes(path: Path, *, known: Sequence[str] | None = None) -> GivenAttributes:
    """The table in a CSV file with a column ``file`` and one for each attribute: 1, 0 (or -1), or nothing.

    Args:
        path: the file.
        known: the attributes that there may be; any by default.

    Raises:
        InputError: if it is missing, has no such columns, an unknown attribute or another label.
    """
    wanted = "a CSV with a column file and one for each attribute"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns, lines = list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read", expected=wanted, actual=str(error)) from None
    attributes = tuple(name for name in columns if name != "file")
    if "file" not in columns or not attributes:
        raise InputError(f"{path} names no photos", expected=wanted, actual=", ".join(columns) or "nothing")
    if unknown := [name for name in attributes if known is not None and name not in known]:
        raise InputError(f"there is no attribute {unknown[0]!r}", expected=", ".join(known or ()))
    rows = {line["file"]: tuple((line[name] or "").strip() for name in attributes) for line in lines}
    if odd := {label for row in rows.values() for label in row} - LABELS.keys():
        raise InputError(f"{path} has a label that is none", expected="1, 0, -1 or nothing", actual=min(odd))
    return GivenAttributes(attributes, {photo: tuple(LABELS[label] for label in row) for photo, row in rows.items()})
