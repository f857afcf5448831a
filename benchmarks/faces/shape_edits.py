"""Edits of shape on held-out faces: ``python -m benchmarks.faces.shape_edits --faces FOLDER --shapes FILE``.

Each attribute of shape is set on faces that lack it and removed from faces that have it, each region is made larger
and smaller, by :func:`maskedit.models.geometry.aim` on the mesh's own points; photos keep their own pixels. The tables
give what the points say, what the bundled judge says, which took no part, and what else moved.
"""

import argparse
import json
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from benchmarks.faces.checked import known_attributes
from benchmarks.faces.photos import labelled_faces, spread
from benchmarks.faces.tables import Table
from benchmarks.faces.warped import load_meshes
from maskedit.files import write_whole
from maskedit.models.geometry import Aimed, ShapeClassifier, Warp, aim, load_coordinates, load_insides
from maskedit.models.geometry.mesh import area
from maskedit.models.weights.bundled import load, load_judge, read_networks
from maskedit.protocols import Parser
from maskedit.training.sheets import write_png
from maskedit.types import Image

SET, REMOVED = 1.5, -1.0
"""The logits that edits come to."""

SIZES = {"mouth": (0.7, 1.5), "eyebrows": (0.7, 1.5), "eyes": (0.7, 1.4), "nose": (0.8, 1.3)}
"""How many times larger the regions are made."""


@torch.no_grad()
def drawn(photos: Image, points: Float[Tensor, "b points 2"], found: Aimed) -> Image:
    """The photos in the shapes that were found."""
    warp, shape = Warp(points), load_coordinates().shape(points, found.rows)
    inside = load_insides()(photos, points, shape, warp.own_inside(photos, shape))
    return warp(photos, shape, inside).clamp(0, 1)


@torch.no_grad()
def parsed_size(parser: Parser, before: Image, after: Image, region: str) -> float:
    """The mean of how many times larger a parser sees a region."""
    sizes = [parser.parse(pictures, [region]).sum((1, 2, 3)) for pictures in (before, after)]
    return float((sizes[1] / sizes[0].clamp(min=1)).mean())


def attribute_table(
    photos: Image,
    points: Float[Tensor, "b points 2"],
    known: Float[Tensor, "b attributes"],
    net: ShapeClassifier,
    out: Path | None,
) -> Table:
    """What edits of attributes do."""
    judge, names, found = load_judge(), net.attributes, []
    for i, name in enumerate(names):
        for word, goal, lacking in (("set", SET, 0), ("removed", REMOVED, 1)):
            some = (known[:, i] == lacking).nonzero()[:, 0]
            if not len(some):
                continue
            # A smile that goes lets the mouth close: held open, it would be a grimace.
            hold = () if (name, word) == ("smiling", "removed") else None
            moved = aim(points[some], logits={name: goal}, hold=hold, classifier=net, coordinates=load_coordinates())
            pictures = drawn(photos[some], points[some], moved)
            before, after = (net.of_points(shape, names) for shape in (points[some], moved.shape))
            spill = (after - before).abs()
            spill[:, i] = 0
            with torch.no_grad():
                told = judge.classify(pictures, [name])[:, 0] > 0
            rows = (float(((after[:, i] > 0) == (goal > 0)).float().mean()), float((told == (goal > 0)).float().mean()))
            ended = sum(1 for note in moved.notes if note) / len(some)
            found.append((f"{name} {word}", len(some), *rows, float(spill.amax(1).mean()), ended))
            save_sheet(out, f"{name}_{word}", photos[some], pictures)
    head = ("edit", "faces", "by the points", "by the judge", "largest spill, logits", "ended before the aim")
    return Table("Attributes of shape", head, tuple(found))


def size_table(
    photos: Image, points: Float[Tensor, "b points 2"], net: ShapeClassifier, parser: Parser, out: Path | None
) -> Table:
    """What edits of size do."""
    found = []
    for region, factors in SIZES.items():
        for factor in factors:
            moved = aim(points, size={region: factor}, classifier=net, coordinates=load_coordinates())
            pictures = drawn(photos, points, moved)
            grown = area(moved.shape, region) / area(points, region)
            near = float(((grown / factor).log().abs() < torch.tensor(1.1).log()).float().mean())
            seen = parsed_size(parser, photos, pictures, region)
            found.append((f"{region} x{factor}", len(points), float(grown.mean()), near, seen))
            save_sheet(out, f"{region}_{factor}", photos, pictures)
    head = ("edit", "faces", "by the polygons", "within 10 %", "by the bundled parser")
    return Table("Sizes", head, tuple(found))


def save_sheet(out: Path | None, name: str, before: Image, after: Image, most: int = 12) -> None:
    """Photos above their edits, as a PNG."""
    if out is None:
        return
    from PIL import Image as Pillow

    both = torch.stack([before[:most], after[:most]])
    line = rearrange(both, "r n c h w -> (r h) (n w) c")
    out.mkdir(parents=True, exist_ok=True)
    write_png(out / f"{name}.png", Pillow.fromarray(line.mul(255).round().byte().numpy()))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder: manifest.csv, mesh.npz, aligned/")
    parser.add_argument("--shapes", type=Path, required=True, help="the file that benchmarks.faces.shapes wrote")
    parser.add_argument("--count", type=int, default=24, help="faces (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder for sheets; they show real people, keep them to yourself")
    parser.add_argument("--json", type=Path, help="write the tables to this file too")
    options = parser.parse_args(arguments)
    net = read_networks(options.shapes)[0]["shapes"]
    assert isinstance(net, ShapeClassifier)
    faces = spread(labelled_faces(options.faces, "test"), options.count)
    photos, points = faces.images.float() / 255, load_meshes(options.faces, faces.names)
    bundled = load("portraits").parser
    assert bundled is not None
    tables = [
        attribute_table(photos, points, known_attributes(faces, net.attributes), net, options.out),
        size_table(photos, points, net, bundled, options.out),
    ]
    print(*tables, sep="\n")
    if options.json:
        write_whole(options.json, json.dumps([table.json() for table in tables], indent=1) + "\n")


if __name__ == "__main__":
    main()
