"""Attributes of training photos as the eye sees them, where a measurement is not what a person calls the attribute.

Hair colours and shapes, lipstick, brows, noses, narrow eyes and youth in the training photos of the shared faces were
looked at, on sheets such as :mod:`maskedit.training.checked` makes and with the same reading of the names, but mostly
by others than the one who checked the held-out photos: each photo once, in quick passes, so single values are less
sure than those of the held-out photos. A field is empty where one could not say.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

DATA = Path(__file__).parent / "data"

SEEN = (
    *("blond_hair", "brown_hair", "black_hair", "gray_hair"),
    *("straight_hair", "wavy_hair", "wearing_lipstick", "bushy_eyebrows", "arched_eyebrows"),
    *("pointy_nose", "big_nose", "narrow_eyes", "young"),
)
"""The attributes that were looked at: the columns of ``data/seen_attributes.csv``."""


def seen_over(
    known: Float[Tensor, "n attributes"], names: Sequence[str], attributes: Sequence[str]
) -> Float[Tensor, "n attributes"]:
    """Labels with what was seen in place of what was measured.

    Args:
        known: measured labels, 1 present, 0 absent, NaN unknown.
        names: the photos' file names; those that were not looked at keep their labels.
        attributes: the columns' names; those that are not among ``SEEN`` keep their labels.
    """
    with (DATA / "seen_attributes.csv").open(newline="") as file:
        table = {row["file"]: row for row in csv.DictReader(file)}
    known = known.clone()
    for row, name in enumerate(names):
        if name in table:
            for column, attribute in enumerate(attributes):
                if attribute in SEEN:
                    known[row, column] = float(table[name][attribute] or "nan")
    return known
