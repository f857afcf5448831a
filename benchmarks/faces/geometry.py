"""Compute the coordinates of shape: ``python -m benchmarks.faces.geometry --faces FOLDER --out FILE``.

From the mesh and the measurements of the training faces: each face's points are turned to the front (a rigid fit of
the points that expressions leave alone), then regressed on **all** measurements together, so that a direction
holds what it is not named for. A region's directions are cut to its own points; the mouth takes cheeks, chin and the
lower outline along. Principal components are of the region's points without place, size and measured directions.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from maskedit.files import write_whole
from maskedit.models.geometry.coordinates import COMPONENTS, MEASURED, REGIONS, parts_of
from maskedit.models.geometry.mesh import CHEEKS, CHIN, MIRROR, OUTLINE, OWN, POINTS, RIGID, rows

COLUMNS = {
    "smile": ("smile",),
    "open": ("mouth_open",),
    "width_at_rest": ("mouth_width",),
    "upper_lip": ("lip_upper",),
    "lower_lip": ("lip_lower",),
    "raised": ("brow_height_left", "brow_height_right"),
    "tilt": ("brow_tilt_left", "brow_tilt_right"),
    "arch": ("brow_arch_left", "brow_arch_right"),
    "eyes_open": ("eye_open_left", "eye_open_right"),
    "apart": ("eye_gap",),
    "wide": ("nose_width",),
    "long": ("nose_length",),
    "tip": ("nose_tip",),
    "tip_drop": ("nose_tip_drop",),
    "face_width": ("face_width",),
    "jaw_width": ("jaw_width",),
    "face_length": ("face_length",),
    "chin_length": ("chin_length",),
    "yaw": ("yaw_deg",),
    "pitch": ("pitch_deg",),
}
"""What is regressed on -> its columns in ``geometry.csv``, of which the mean is taken."""

LOWER_OUTLINE = OUTLINE[11:26]
MOVING = {
    **OWN,
    "mouth": (*OWN["mouth"], *CHEEKS, *CHIN, *LOWER_OUTLINE),
}
"""The points that a region's directions may move."""


def frontal(
    points: Float[Tensor, "n points 3"], rounds: int = 5
) -> tuple[Float[Tensor, "n points 3"], Float[Tensor, "points 3"]]:
    """The faces turned to the front and brought to one size by their rigid points, and their symmetric mean."""
    fixed = rows(RIGID)
    mean = points.mean(0)
    for _ in range(rounds):
        middle, target = points[:, fixed].mean(1, keepdim=True), mean[fixed].mean(0)
        apart = points[:, fixed] - middle
        u, s, v = torch.linalg.svd(apart.transpose(1, 2) @ (mean[fixed] - target))
        proper = torch.ones_like(s)
        proper[:, 2] = torch.det(u @ v).sign()
        scale = (s * proper).sum(1) / apart.square().sum((1, 2))
        turned = (points - middle) @ ((u * proper[:, None]) @ v) * scale[:, None, None] + target
        mean = symmetric(turned.mean(0), float(target[0]))
    return turned, mean


def symmetric(points: Float[Tensor, "*n points 3"], middle: float = 0.0) -> Float[Tensor, "*n points 3"]:
    """The mean of points, or of what moves them, and their mirror image about ``x = middle``."""
    image = points[..., MIRROR, :] * points.new_tensor([-1, 1, 1]) + points.new_tensor([2 * middle, 0, 0])
    return (points + image) / 2


def measurements(folder: Path) -> tuple[Float[Tensor, "n columns"], list[str]]:
    """The columns of ``COLUMNS``, and each row's file."""
    with (folder / "geometry.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    found = [[sum(float(row[c]) for c in own) / len(own) for own in COLUMNS.values()] for row in table]
    return torch.tensor(found), [row["file"] for row in table]


def compute(
    points: Float[Tensor, "n points 3"], measured: Float[Tensor, "n columns"]
) -> dict[str, Float[Tensor, "..."]]:
    """The tensors of ``geometry.safetensors``."""
    front, mean = frontal(points)
    known = (measured - measured.mean(0)) / measured.std(0)
    apart = front - mean
    gram = known.T @ known + 0.01 * len(known) * torch.eye(known.shape[1])
    slopes = torch.linalg.solve(gram, known.T @ apart.flatten(1)).unflatten(1, mean.shape)
    slopes = symmetric(slopes)
    tensors = {"mean": mean}
    for region in REGIONS:
        own, moving = rows(OWN[region]), rows(MOVING[region])
        places = apart[:, own]
        middle = places.mean(1)
        plain = mean[own] - mean[own].mean(0)
        logs = torch.stack([size(front[:, rows(part)], mean[rows(part)]) for part in parts_of(region)]).mean(0)
        shift = torch.zeros(2, *mean.shape)
        shift[0, own, 0], shift[1, own, 1] = middle[:, 0].std(), middle[:, 1].std()
        named = [list(COLUMNS).index("eyes_open" if (region, n) == ("eyes", "open") else n) for n in MEASURED[region]]
        directions = torch.zeros(len(named), *mean.shape)
        directions[:, moving] = slopes[named][:, moving]
        rest = (places - middle[:, None]).flatten(1)
        taken = torch.cat([directions[:, own].flatten(1), *_stretches(plain)])
        onto = torch.linalg.qr(taken.T)[0]
        rest = rest - rest @ onto @ onto.T
        _, values, basis = torch.linalg.svd(rest, full_matrices=False)
        count = COMPONENTS[region]
        parts = torch.zeros(count, *mean.shape)
        parts[:, own] = (basis[:count] * values[:count, None] / len(rest) ** 0.5).unflatten(1, plain.shape)
        tensors[f"{region}.directions"] = torch.cat([shift, directions, parts])[:, moving]
        tensors[f"{region}.moving"] = torch.tensor(moving)
        tensors[f"{region}.deviations"] = logs.std(0)
    return tensors


def size(points: Float[Tensor, "n own 3"], plain: Float[Tensor, "own 3"]) -> Float[Tensor, "n 2"]:
    """The logarithms of width and height over those of the mean face, by the points' projections onto its own."""
    points, plain = (x[..., :2] - x[..., :2].mean(-2, keepdim=True) for x in (points, plain))
    return ((points * plain).sum(1) / plain.square().sum(0)).clamp(min=0.2).log()


def _stretches(plain: Float[Tensor, "own 3"]) -> list[Float[Tensor, "1 _"]]:
    wide, high = torch.zeros_like(plain), torch.zeros_like(plain)
    wide[:, 0], high[:, 1] = plain[:, 0], plain[:, 1]
    return [wide.flatten()[None], high.flatten()[None]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder: manifest.csv, mesh.npz, geometry.csv")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args(arguments)
    with (options.faces / "manifest.csv").open(newline="") as file:
        training = torch.tensor([row["split"] == "train" for row in csv.DictReader(file)])
    with np.load(options.faces / "mesh.npz") as arrays:
        points = torch.from_numpy(arrays["mesh"][:, list(POINTS)]) / 256
    measured, _ = measurements(options.faces)
    tensors = compute(points[training], measured[training])
    halves = {k: v.half() if v.is_floating_point() else v.short() for k, v in tensors.items()}
    tensors = {name: tensor.contiguous() for name, tensor in halves.items()}
    write_whole(options.out, save(tensors, {"licence": "MIT"}))
    print(f"{options.out}: {options.out.stat().st_size} bytes, {int(training.sum())} faces")


if __name__ == "__main__":
    main()
