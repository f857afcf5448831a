"""The photos that the studies are of: those of a folder whose labels lie in data/."""

import csv
from pathlib import Path
from typing import Literal

from benchmarks.faces import DATA
from maskedit.training.faces import Faces, load_faces


def labelled_faces(folder: Path, split: str, half: Literal["a", "b"] | None = None) -> Faces:
    """The photos of a split, without those that came to the shared folder later and have no labels here.

    Of a folder with none of the shared photos, all.
    """
    with (DATA / "measures.csv").open(newline="") as file:
        labelled = {row["file"] for row in csv.DictReader(file)}
    faces = load_faces(folder, split, half)
    rows = [i for i, name in enumerate(faces.names) if name in labelled]
    return faces.only(rows) if rows else faces


def spread(faces: Faces, count: int | None) -> Faces:
    """So many of the photos, at even distances; all by default."""
    count = min(count or len(faces), len(faces))
    return faces.only([i * len(faces) // count for i in range(count)])
