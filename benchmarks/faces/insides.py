"""Fit the insides of mouths: ``python -m benchmarks.faces.insides --faces FOLDER --out FILE``.

From the training photos whose lips stand apart: the colours between the lips, in a box from corner to corner and rim
to rim, by ridge regression on what :func:`maskedit.models.geometry.insides.numbers` gives.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from safetensors.torch import save
from torch import Tensor

from benchmarks.faces.warped import load_meshes
from maskedit.files import write_whole
from maskedit.models.geometry.insides import BOX, numbers
from maskedit.models.geometry.mesh import LOWER_INNER, UPPER_INNER, rows
from maskedit.models.geometry.warp import Mouth
from maskedit.training.faces import load_faces
from maskedit.types import Image

LEAST = 5 / 256
"""How far the lips stand apart in the mouths to learn from."""

RIDGE = 0.003


def boxes(photos: Image, points: Float[Tensor, "b points 2"]) -> Float[Tensor, "b 3 high wide"]:
    """The insides of mouths, each in its box."""
    high, wide = BOX
    along = ((torch.arange(wide) + 0.5) / wide).repeat(high).expand(len(photos), -1)
    deep = ((torch.arange(high) + 0.5) / high).repeat_interleave(wide).expand(len(photos), -1)
    mouth = Mouth(points, points[:, :0])
    top, bottom = mouth.lines(points, along)
    across = top + deep * (bottom - top)
    places = mouth.left[:, None] + along[..., None] * mouth.way[:, None] + across[..., None] * mouth.down[:, None]
    return F.grid_sample(photos, (2 * places - 1).unflatten(1, BOX), align_corners=False)


def opened(points: Float[Tensor, "b points 2"]) -> Bool[Tensor, " b"]:
    """Whose lips stand apart."""
    return (points[:, rows(UPPER_INNER)] - points[:, rows(LOWER_INNER)]).norm(dim=2).amax(1) > LEAST


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder: manifest.csv, mesh.npz, aligned/")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args(arguments)
    faces = load_faces(options.faces, "train")
    points = load_meshes(options.faces, faces.names)
    chosen = opened(points).nonzero()[:, 0]
    seen, known = [], []
    for part in chosen.split(64):
        photos = faces.images[part].float() / 255
        seen.append(boxes(photos, points[part]).flatten(1))
        known.append(numbers(photos, points[part], points[part]))
    x, y = torch.cat(known), torch.cat(seen)
    scale = x.square().mean(0)
    weights = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.diag(scale), x.T @ y)
    write_whole(options.out, save({"weights": weights.half().contiguous()}, {"licence": "MIT"}))
    print(f"{options.out}: {options.out.stat().st_size} bytes, {len(chosen)} mouths")


if __name__ == "__main__":
    main()
