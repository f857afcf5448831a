"""A folder of aligned face photos with landmarks, in memory."""

import csv
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maskedit.errors import InputError

MIRROR = torch.tensor(
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *(27, 28, 29, 30, 35, 34, 33, 32, 31),  # nose
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lips
        *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lips
    ]
)
"""The number of each of the 68 points' counterpart in the mirror."""


@dataclass(frozen=True)
class Faces:
    """Aligned photos.

    Args:
        names: file name of each photo.
        images: RGB bytes.
        landmarks: the usual 68 points (x, y) as fractions of the picture's side.
        synthetic: whether the person was drawn by a network.
    """

    names: tuple[str, ...]
    images: UInt8[Tensor, "n 3 size size"]
    landmarks: Float[Tensor, "n 68 2"]
    synthetic: Sequence[bool]

    def __len__(self) -> int:
        return len(self.names)

    def only(self, rows: Sequence[int]) -> "Faces":
        """These of the photos."""
        return Faces(
            names=tuple(self.names[row] for row in rows),
            images=self.images[list(rows)],
            landmarks=self.landmarks[list(rows)],
            synthetic=tuple(self.synthetic[row] for row in rows),
        )

    def resized(self, size: int) -> UInt8[Tensor, "n 3 size size"]:
        """The photos at ``size`` pixels, averaged over areas."""
        if self.images.shape[-1] == size:
            return self.images
        return torch.cat(
            [F.interpolate(part.float(), size=size, mode="area").round().byte() for part in self.images.split(64)]
        )


def half_of(row: Mapping[str, str]) -> Literal["a", "b"]:
    """The half of the data that a row of the manifest belongs to, so that one person is in one half.

    Official portraits of one person, from whichever source, share the first letter of the surname ("kay-granger.jpg",
    "G000377.jpg"); synthetic look-alikes share a grid, which is the source file. Without a source file, a photo goes by
    its own name.
    """
    stem = Path(row.get("source_path") or row["file"]).stem
    if re.fullmatch(r"[a-z.']+(-[a-z.']+)+", stem):
        stem = stem.rsplit("-", 1)[1][0]
    elif re.fullmatch(r"[A-Z]\d{6}", stem):
        stem = stem[0].lower()
    return "ab"[zlib.crc32(stem.encode()) % 2]  # type: ignore[return-value]


def read_manifest(folder: Path) -> tuple[list[dict[str, str]], Float[Tensor, "rows 68 2"]]:
    """The rows of ``manifest.csv`` and their landmarks, in pixels.

    Raises:
        InputError: if a file, a column or a photo is missing.
    """
    hint = "docs/training.md says what a folder of faces needs."
    manifest, landmarks = folder / "manifest.csv", folder / "landmarks.npz"
    for path in (manifest, landmarks):
        if not path.is_file():
            raise InputError(f"there is no {path}", expected="manifest.csv, landmarks.npz and aligned/", hint=hint)
    with manifest.open(newline="") as file:
        reader = csv.DictReader(file)
        columns, rows = reader.fieldnames or (), list(reader)
    if missing := [name for name in ("file", "split", "source") if name not in columns]:
        raise InputError(
            f"{manifest} lacks the column {missing[0]!r}",
            expected="file, split, source",
            actual=", ".join(columns) or "no columns",
            hint=hint,
        )
    with np.load(landmarks) as arrays:
        points = torch.from_numpy(arrays["landmarks"]) if "landmarks" in arrays.files else torch.zeros(0)
    if points.shape != (len(rows), 68, 2):
        raise InputError(
            f"{landmarks} does not fit the manifest",
            expected=f"landmarks {[len(rows), 68, 2]}: a row for each of the manifest's",
            actual=str(list(points.shape)) if points.numel() else "no such array",
            hint=hint,
        )
    if gone := [row["file"] for row in rows if not (folder / "aligned" / row["file"]).is_file()]:
        raise InputError(f"{len(gone)} photos of {manifest} are missing", actual=f"no {folder / 'aligned' / gone[0]}")
    return rows, points


def load_faces(folder: Path, split: str, half: Literal["a", "b"] | None = None) -> Faces:
    """The photos of one split of a folder with ``manifest.csv``, ``landmarks.npz`` and ``aligned/``.

    Args:
        folder: where the three are.
        split: "train" or "test", as in the manifest's column; "all" for both.
        half: only those of :func:`half_of`: the classifier learns from "a", the judge from "b".

    Raises:
        InputError: if there is no such photo, or the three do not fit together.
    """
    from PIL import Image

    table, points = read_manifest(folder)
    rows = [i for i, row in enumerate(table) if split in ("all", row["split"]) and half in (None, half_of(row))]
    if not rows:
        raise InputError(
            f"no photo of the split {split!r} is in {folder / 'manifest.csv'}", expected="train, test or all"
        )
    photos = []
    for i in rows:
        path = folder / "aligned" / table[i]["file"]
        try:
            with Image.open(path) as photo:
                photos.append(rearrange(torch.from_numpy(np.array(photo.convert("RGB"))), "h w c -> c h w"))
        except OSError as error:
            raise InputError(f"{path} cannot be read as a photo: {error.strerror or error}") from error
        if photos[-1].shape != (3, *photos[0].shape[-1:] * 2):
            raise InputError(
                f"{path} is not like the other photos",
                expected=f"{photos[0].shape[-1]} x {photos[0].shape[-1]} px",
                actual=f"{photos[-1].shape[2]} x {photos[-1].shape[1]}",
            )
    images = torch.stack(photos)
    return Faces(
        names=tuple(table[i]["file"] for i in rows),
        images=images,
        landmarks=(points[rows] / images.shape[-1]).float(),  # the picture spans [0, side]: no half pixel is missing
        synthetic=tuple("SFHQ" in table[i]["source"] for i in rows),
    )


def balanced(faces: Faces, share: float, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """``count`` rows drawn with replacement, ``share`` of them (on average) of synthetic people."""
    synthetic = torch.tensor(faces.synthetic)
    weights = torch.where(
        synthetic, share / synthetic.sum().clamp(min=1), (1 - share) / (~synthetic).sum().clamp(min=1)
    )
    return torch.multinomial(weights, count, replacement=True, generator=rng)
