"""Faces in other shapes: ``python -m benchmarks.faces.warped --faces FOLDER --out FILE``.

Each photo as it is, then some copies whose mouths, eyes, brows and noses were moved by random coordinates within their
safe ranges. The trainings read the file, so that what they learn follows a shape and not only what usually goes with
it.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.geometry.coordinates import (
    COMPONENTS,
    LONGEST,
    REGIONS,
    Coordinates,
    bounds,
    load_coordinates,
    names,
)
from maskedit.models.geometry.mesh import POINTS
from maskedit.models.geometry.warp import Warp
from maskedit.training.faces import Faces, load_faces
from maskedit.training.loop import draws

SIZE, COPIES = 160, 2
"""Side of the pictures, and how many warped ones of each photo."""

SHARE, MOVED, LEAST = 0.7, 0.7, 0.15
"""Of the safe range that is used, of the regions that move; and the smallest determinant that is let be."""


@dataclass(frozen=True)
class Warped:
    """Pictures with their points.

    Args:
        images: photo by photo, the copies one after the other: all photos plain, all in their first other shape, ...
        points: the mesh's points in each.
        rows: the coordinates by which each was moved.
        photos: how many photos there are.
    """

    images: UInt8[Tensor, "n 3 size size"]
    points: Float[Tensor, "n points 2"]
    rows: Float[Tensor, "n regions numbers"]
    photos: int

    @property
    def copies(self) -> int:
        """Pictures of each photo in other shapes."""
        return len(self.images) // self.photos - 1


def load_meshes(folder: Path, files: tuple[str, ...]) -> Float[Tensor, "n points 2"]:
    """The mesh's points of some photos, as shares of their side.

    Raises:
        InputError: if the folder has no mesh.
    """
    if not (folder / "mesh.npz").is_file():
        raise InputError(f"there is no {folder / 'mesh.npz'}", expected="the mesh of each row of manifest.csv")
    with (folder / "manifest.csv").open(newline="") as file:
        place = {row["file"]: i for i, row in enumerate(csv.DictReader(file))}
    with np.load(folder / "mesh.npz") as arrays:
        points = torch.from_numpy(arrays["mesh"][:, list(POINTS), :2]) / 256
    return points[[place[name] for name in files]]


def random_rows(
    count: int, coordinates: Coordinates, random: torch.Generator
) -> Float[Tensor, "count regions numbers"]:
    """Coordinates within the safe ranges; components normal; some regions stay."""
    low, high = bounds(coordinates)
    share = torch.rand(count, len(REGIONS), LONGEST, generator=random)
    found = SHARE * (low + share * (high - low))
    normal = 0.7 * torch.randn(found.shape, generator=random)
    for i, region in enumerate(REGIONS):
        own = len(names(region))
        found[:, i, own - COMPONENTS[region] : own] = normal[:, i, own - COMPONENTS[region] : own]
        found[:, i, own:] = 0
    # Sizes and measured coordinates one or two at a time: all at once no face looks like one.
    chosen = torch.rand(found.shape, generator=random) < 0.4
    moved = torch.rand(count, len(REGIONS), 1, generator=random) < MOVED
    return found * chosen * moved


@torch.no_grad()
def warped(
    photos: Float[Tensor, "b 3 h w"], points: Float[Tensor, "b points 2"], rows: Float[Tensor, "b regions numbers"]
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b points 2"], Float[Tensor, "b regions numbers"]]:
    """The photos in the shapes that these rows ask for, halved where a face would fold; points and rows as used."""
    warp, coordinates = Warp(points), load_coordinates()
    for _ in range(3):
        shape = coordinates.shape(points, rows)
        folded = warp.smallest(shape) < LEAST
        if not folded.any():
            break
        rows = torch.where(folded[:, None, None], rows / 2, rows)
    shape = coordinates.shape(points, rows)
    return warp(photos, shape), warp.landed(shape), rows


def make(faces: Faces, points: Float[Tensor, "n points 2"], copies: int, seed: int = 0, batch: int = 8) -> Warped:
    """All photos as they are, and ``copies`` times in other shapes."""
    images, shapes, moved = [faces.resized(SIZE)], [points], [torch.zeros(len(faces), len(REGIONS), LONGEST)]
    for copy in range(copies):
        for start in range(0, len(faces), batch):
            some = slice(start, start + batch)
            photos = faces.images[some].float() / 255
            rows = random_rows(len(photos), load_coordinates(), draws(seed + copy, start))
            pictures, landed, rows = warped(photos, points[some], rows)
            images.append(F.interpolate(pictures.clamp(0, 1), size=SIZE, mode="area").mul(255).round().byte())
            shapes.append(landed)
            moved.append(rows)
            if start // batch % 50 == 0:
                print(f"copy {copy + 1}: {start} of {len(faces)}", flush=True)
    return Warped(torch.cat(images), torch.cat(shapes), torch.cat(moved), len(faces))


def read(path: Path) -> Warped:
    """What :func:`main` wrote.

    Raises:
        InputError: if it wrote nothing there.
    """
    if not path.is_file():
        hint = "python -m benchmarks.faces.warped --faces FACES --out FILE makes it."
        raise InputError(f"there is no {path}", expected="warped faces", hint=hint)
    tensors = load_file(path)
    return Warped(**{**tensors, "photos": int(tensors["photos"])})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder: manifest.csv, mesh.npz, aligned/")
    parser.add_argument("--split", default="train", help="train or test (%(default)s)")
    parser.add_argument("--copies", type=int, default=COPIES, help="warped pictures of each photo (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args(arguments)
    faces = load_faces(options.faces, options.split)
    made = make(faces, load_meshes(options.faces, faces.names), options.copies)
    partial = options.out.with_suffix(".partial")
    tensors = {"images": made.images, "points": made.points, "rows": made.rows, "photos": torch.tensor(made.photos)}
    save_file(tensors, partial)
    partial.replace(options.out)


if __name__ == "__main__":
    main()
