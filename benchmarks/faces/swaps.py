"""Does a classifier look where the attribute is: ``python -m benchmarks.faces.swaps --faces FOLDER``.

For each local attribute, held-out faces A that lack it get its region from faces B that have it, the nearest in pose;
with the region's shape and B's pixels, in the colours of A's skin. The table gives how far the logit goes of the whole
way from A to B: by the region alone, by everything but the region, and, as a control, by the region of another face
that lacks the attribute. A classifier that looks at the region has about 1, 0 and 0.
"""

import argparse
import csv
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from benchmarks.faces.checked import known_attributes
from benchmarks.faces.photos import labelled_faces
from benchmarks.faces.tables import Table
from benchmarks.faces.warped import Meshed, meshed
from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.files import write_whole
from maskedit.models.geometry import ShapeClassifier, Warp, load_coordinates
from maskedit.models.geometry.classifier import frontal
from maskedit.models.geometry.mesh import OWN, camera, mask, rows
from maskedit.models.weights.bundled import load, load_judge, read_networks
from maskedit.protocols import Classifier

LOCAL = tuple(name for name, (region, *_) in ATTRIBUTE_REGIONS.items() if region in OWN)
"""The attributes that show in a region with points of its own."""

SOFT = 5
"""Pixels by which a region is grown, and by which its edge is softened."""


def with_points_of(
    points: Float[Tensor, "b points 2"], donors: Float[Tensor, "b points 2"], region: str
) -> Float[Tensor, "b points 2"]:
    """Faces whose region has the donors' shape, as seen from the faces' side."""
    mean = load_coordinates().mean
    view, own = camera(points, mean), rows(OWN[region])
    flat = frontal(donors, mean)[:, own]
    placed = flat @ view[:, :, :2].mT + mean[own, 2:] * view[:, None, :, 2] + view[:, None, :, 3]
    shape = points.clone()
    shape[:, own] = placed
    return shape


@torch.no_grad()
def swapped(faces: Meshed, donors: Meshed, region: str) -> Float[Tensor, "b 3 size size"]:
    """The faces with the donors' region: its shape, its pixels, brought to the colour of the faces' skin around it."""
    images, others = (meshes.images.float() / 255 for meshes in (faces, donors))
    shape = with_points_of(faces.points, donors.points, region)
    around, inside = Warp(faces.points)(images, shape), Warp(donors.points)(others, shape)
    own = mask(shape, region, images.shape[-1]).float()[:, None]
    grown = F.max_pool2d(own, 2 * SOFT + 1, 1, SOFT)
    ring = F.max_pool2d(grown, 2 * SOFT + 1, 1, SOFT) - grown
    area = ring.sum((2, 3), keepdim=True).clamp(min=1)
    light = [(picture * ring).sum((2, 3), keepdim=True) / area for picture in (around, inside)]
    inside = inside * (light[0] + 0.02) / (light[1] + 0.02)
    share = F.avg_pool2d(grown, 2 * SOFT + 1, 1, SOFT)
    return (share * inside + (1 - share) * around).clamp(0, 1)


def nearest(of: Float[Tensor, "a 2"], among: Float[Tensor, "b 2"], different: bool) -> Int64[Tensor, " a"]:
    """For each pose the nearest one of others; not itself, if ``different``."""
    apart = torch.cdist(of, among)
    if different:
        apart.fill_diagonal_(torch.inf)
    return apart.argmin(1)


def poses(folder: Path, files: tuple[str, ...]) -> Float[Tensor, "n 2"]:
    """Yaw and pitch of the photos, in degrees."""
    with (folder / "manifest.csv").open(newline="") as file:
        table = {row["file"]: (float(row["yaw_deg"]), float(row["pitch_deg"])) for row in csv.DictReader(file)}
    return torch.tensor([table[name] for name in files])


def chosen(photos: Meshed, which: Int64[Tensor, " n"]) -> Meshed:
    """Some of the photos."""
    return Meshed(photos.images[which], photos.points[which])


@torch.no_grad()
def shares(
    net: Classifier, attribute: str, lacking: Meshed, having: Meshed, third: Meshed
) -> tuple[float, float, float]:
    """Shares of the gap that the region, everything else, and another's region that lacks the attribute make up."""
    region = ATTRIBUTE_REGIONS[attribute][0]

    def logit(pictures: Tensor) -> Tensor:
        return net.classify(pictures, [attribute])[:, 0]

    plain, full = logit(lacking.images.float() / 255), logit(having.images.float() / 255)
    gap = (full - plain).mean()
    moved = [swapped(lacking, having, region), swapped(having, lacking, region), swapped(lacking, third, region)]
    by_region, by_rest, by_control = (float((logit(pictures) - plain).mean() / gap) for pictures in moved)
    return by_region, by_rest, by_control


def swaps(net: Classifier, folder: Path, title: str, count: int) -> Table:
    """The table of a classifier."""
    faces = labelled_faces(folder, "test")
    photos, pose = meshed(folder, faces), poses(folder, faces.names)
    found: list[tuple[str | float | int, ...]] = []
    for attribute in [name for name in LOCAL if name in net.attributes]:
        known = known_attributes(faces, [attribute])[:, 0]
        absent, present = ((known == value).nonzero()[:, 0] for value in (0, 1))
        some = absent[torch.arange(min(count, len(absent))) * len(absent) // min(count, len(absent))]
        donors = present[nearest(pose[some], pose[present], different=False)]
        others = some[nearest(pose[some], pose[some], different=True)]
        by = shares(net, attribute, chosen(photos, some), chosen(photos, donors), chosen(photos, others))
        found.append((attribute, len(some), *by, by[0] - by[2]))
    means = torch.tensor([row[2:] for row in found]).mean(0).tolist()
    found.append(("mean", float("nan"), *means))
    head = ("attribute", "pairs", "region", "all but the region", "control", "region less control")
    return Table(f"{title}: share of the gap between faces", head, tuple(found))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder: manifest.csv, mesh.npz, aligned/")
    parser.add_argument("--of", choices=("classifier", "judge", "shapes"), default="classifier", help="(%(default)s)")
    parser.add_argument("--weights", type=Path, help="a file with a classifier of shapes, for --of shapes")
    parser.add_argument("--count", type=int, default=40, help="pairs for each attribute, at most (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the table to this file too")
    options = parser.parse_args(arguments)
    net: Classifier | None
    if options.of == "shapes":
        if options.weights is None:
            parser.error("--of shapes needs --weights")
        network = read_networks(options.weights)[0]["shapes"]
        assert isinstance(network, ShapeClassifier)
        net = network
    else:
        net = load("portraits").classifier if options.of == "classifier" else load_judge()
    assert net is not None
    table = swaps(net, options.faces, options.of.capitalize(), options.count)
    print(table)
    if options.json:
        write_whole(options.json, json.dumps(table.json(), indent=1) + "\n")


if __name__ == "__main__":
    main()
