"""Faces in other shapes, for trainings: what learns from them follows a shape, not only what usually goes with it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.geometry import Coordinates, Warp, bounds, load_coordinates
from maskedit.models.geometry.coordinates import COMPONENTS, LONGEST, REGIONS, names
from maskedit.models.geometry.mesh import POINTS
from maskedit.training.faces import Faces
from maskedit.training.loop import step_rng

SIZE = 160
"""Side of the pictures that are warped."""

SHARE, MOVED, CHOSEN, LEAST = 0.7, 0.7, 0.4, 0.15
"""Of the safe range that is used, of the regions that move, of a region's coordinates that do (all at once no face
looks like one); and the smallest determinant that is let be."""


def load_meshes(folder: Path, files: Sequence[str]) -> Float[Tensor, "n points 2"]:
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


def random_rows(count: int, coordinates: Coordinates, rng: torch.Generator) -> Float[Tensor, "count regions numbers"]:
    """Coordinates within the safe ranges; components normal; some regions stay."""
    low, high = bounds(coordinates)
    share = torch.rand(count, len(REGIONS), LONGEST, generator=rng)
    found = SHARE * (low + share * (high - low))
    normal = 0.7 * torch.randn(found.shape, generator=rng)
    for i, region in enumerate(REGIONS):
        own = len(names(region))
        found[:, i, own - COMPONENTS[region] : own] = normal[:, i, own - COMPONENTS[region] : own]
        found[:, i, own:] = 0
    chosen = torch.rand(found.shape, generator=rng) < CHOSEN
    moved = torch.rand(count, len(REGIONS), 1, generator=rng) < MOVED
    return found * chosen * moved


@torch.no_grad()
def warped(
    photos: Float[Tensor, "b 3 h w"], points: Float[Tensor, "b points 2"], rng: torch.Generator
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b points 2"]]:
    """The photos in random shapes, and the points in them; amounts are halved until no face folds."""
    coordinates = load_coordinates()
    warp, rows = Warp(points), random_rows(len(photos), coordinates, rng)
    for _ in range(3):
        shape = coordinates.shape(points, rows)
        rows = torch.where((warp.smallest(shape) < LEAST)[:, None, None], rows / 2, rows)
    shape = coordinates.shape(points, rows)
    return warp(photos, shape).clamp(0, 1), warp.landed(shape)


@dataclass(frozen=True)
class Meshed:
    """Photos with the mesh's points, plain or in other shapes.

    Args:
        images: the photos, ``SIZE`` pixels wide.
        points: the mesh's points in each.
    """

    images: UInt8[Tensor, "n 3 size size"]
    points: Float[Tensor, "n points 2"]

    def drawn(
        self, rows: Int64[Tensor, " b"], share: float, rng: torch.Generator
    ) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b points 2"]]:
        """Some of the photos, the first ``share`` of them in random shapes."""
        photos, points = self.images[rows].float() / 255, self.points[rows].clone()
        some = round(share * len(rows))
        if some:
            photos[:some], points[:some] = warped(photos[:some], points[:some], rng)
        return photos, points


def meshed(folder: Path, faces: Faces) -> Meshed:
    """The photos with their points."""
    return Meshed(faces.resized(SIZE), load_meshes(folder, faces.names))


def in_other_shapes(photos: Meshed, seed: int = 0) -> Meshed:
    """All the photos in random shapes, always the same."""
    made = [
        photos.drawn(rows, 1.0, step_rng(seed, int(rows[0]))) for rows in torch.arange(len(photos.images)).split(16)
    ]
    images = torch.cat([image.mul(255).round().byte() for image, _ in made])
    return Meshed(images, torch.cat([points for _, points in made]))
