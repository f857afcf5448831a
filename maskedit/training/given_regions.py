"""Regions of photos that somebody corrected by looking at them: polygons over a measured map, in a JSON file.

The file maps a photo's name to what is painted over its map, in order: ``[{"region": NAME, "polygon": [[x, y], ...]}]``
in fractions of the picture's side; an empty list where the measured map is right.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.errors import InputError
from maskedit.training.polygons import inside

FEATURES = ("mouth", "eyebrows", "eyes", "nose")


@dataclass(frozen=True)
class Painted:
    """A region, and the corners (x, y) of the polygon that belongs to it, as fractions of the side."""

    region: str
    polygon: Sequence[Sequence[float]]


@dataclass(frozen=True)
class GivenRegions:
    """What was painted over the measured map of each photo, by its file name and in order."""

    painted: Mapping[str, Sequence[Painted]]

    def over(
        self, measured: UInt8[Tensor, "n size size"], photos: Sequence[str]
    ) -> tuple[Int64[Tensor, " m"], UInt8[Tensor, "m size size"]]:
        """The photos that were looked at.

        Args:
            measured: the measured maps of any photos, indices into ``REGIONS``.
            photos: their file names.

        Returns:
            The rows of those photos that were looked at, and their corrected maps.
        """
        rows = [row for row, photo in enumerate(photos) if photo in self.painted]
        maps = [paint(measured[row], self.painted[photos[row]]) for row in rows]
        return torch.tensor(rows, dtype=torch.int64), torch.stack(maps) if maps else measured[:0]


def paint(measured: UInt8[Tensor, "size size"], painted: Sequence[Painted]) -> UInt8[Tensor, "size size"]:
    """A region map with polygons painted over it, the later over the earlier.

    Skin goes around the features (mouth, eyebrows, eyes, nose); everything else covers what was there.
    """
    corrected = measured.clone()
    features = torch.tensor([REGIONS.index(name) for name in FEATURES], dtype=torch.uint8)
    for one in painted:
        where = inside(torch.tensor(one.polygon), len(measured))
        if one.region == "skin":
            where &= ~torch.isin(corrected, features)
        corrected[where] = REGIONS.index(one.region)
    return corrected


def read_regions(path: Path) -> GivenRegions:
    """The corrections in a JSON file.

    Raises:
        InputError: if it is missing, has another form, or a region that is not there.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        found = {
            photo: [Painted(one["region"], [[float(x), float(y)] for x, y in one["polygon"]]) for one in painted]
            for photo, painted in written.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read",
            expected='{photo: [{"region": NAME, "polygon": [[x, y], ...]}, ...]}',
            actual=f"{type(error).__name__}: {error}",
        ) from None
    for photo, painted in found.items():
        if unknown := [one.region for one in painted if one.region not in REGIONS]:
            raise InputError(
                f"{path} paints a region that is not there, on {photo!r}",
                expected=", ".join(REGIONS),
                actual=repr(unknown[0]),
            )
    return GivenRegions(found)
