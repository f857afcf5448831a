"""Regions of photos, corrected by eye, and the sheets for it.

The held-out photos are every third official portrait and every fourth synthetic face of the test split, in the
manifest's order; the figures are of these. The others, spread over the training split, are what the parser learns from
more than from any measured map; they were corrected faster and by others, and not all were looked at again.

Each began as the measured map (:mod:`maskedit.training.labels`; no parser had a part in it) and was looked at with its
borders drawn at four times the map's size. What was wrong was painted over with polygons, which are in
``data/checked_regions.json``: for each photo those to paint, in order, in fractions of the picture's side; none where
the measured map was right. The result was looked at again, and mended. The held-out photos had a single judge, who
drew straight edges: a pixel or two at a border say little. The names were read so:

- ears are what shows of them, earrings included; hair in front of an ear, or of a brow, is hair;
- beards and moustaches are skin, as in the measured maps; so are shaven and bald heads, but not cropped hair that
  can be told from the skin by its colour;
- below the face are neck, clothes and whatever lies on the shoulders, except hair; glasses are what they cover, and a
  hat is background;
- mouth, eyes, brows and nose stay the polygons of the landmarks unless something else was painted there.

``python -m maskedit.training.checked_regions --faces FOLDER --out SHEETS`` writes the sheets again, with a grid of
1/16 of the side, and prints how far the measured maps lie from the corrected ones.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.training.faces import Faces, load_faces
from maskedit.training.labels import Labels, inside, load_labels

DATA = Path(__file__).parent / "data"
FEATURES = ("mouth", "eyebrows", "eyes", "nose")
COLOURS = ("white", "red", "magenta", "cyan", "yellow", "orange", "lime", "blue", "gray")  # of REGIONS, on the sheets

Correction = tuple[str, Sequence[Sequence[float]]]
"""A region's name, and the corners (x, y) of the polygon that belongs to it, as fractions of the side."""

SIDE, COLUMNS, ROWS = 512, 3, 2


def corrections() -> dict[str, list[Correction]]:
    """What was painted over the measured map of each checked photo, by file name and in order."""
    written = json.loads((DATA / "checked_regions.json").read_text())
    return {name: [(one["region"], one["polygon"]) for one in painted] for name, painted in written.items()}


def paint(measured: UInt8[Tensor, "size size"], painted: Sequence[Correction]) -> UInt8[Tensor, "size size"]:
    """A region map with polygons painted over it, the later over the earlier.

    Skin goes around the features (mouth, eyebrows, eyes, nose); everything else covers what was there.
    """
    corrected = measured.clone()
    features = torch.tensor([REGIONS.index(name) for name in FEATURES], dtype=torch.uint8)
    for region, polygon in painted:
        where = inside(torch.tensor(polygon), len(measured))
        if region == "skin":
            where &= ~torch.isin(corrected, features)
        corrected[where] = REGIONS.index(region)
    return corrected


def checked_regions(faces: Faces, labels: Labels) -> tuple[Int64[Tensor, " n"], UInt8[Tensor, "n size size"]]:
    """The photos whose regions were corrected by eye.

    Args:
        faces: any photos.
        labels: what was measured of them, as ``load_labels(DATA, faces)`` returns.

    Returns:
        The rows in ``faces`` of those that were checked, and their corrected maps of indices into ``REGIONS``.
    """
    found = corrections()
    rows = [row for row, name in enumerate(faces.names) if name in found]
    maps = [paint(labels.regions[row], found[faces.names[row]]) for row in rows]
    return torch.tensor(rows, dtype=torch.int64), torch.stack(maps) if maps else labels.regions[:0]


def overlap(found: UInt8[Tensor, "n h w"], right: UInt8[Tensor, "n h w"]) -> Float[Tensor, " regions"]:
    """Intersection over union of each of ``REGIONS``, over all pixels of all maps; NaN for a region in neither."""
    pairs = [(found == region, right == region) for region in range(len(REGIONS))]
    return torch.stack([(a & b).sum() / (a | b).sum() for a, b in pairs])


def sheets(
    photos: UInt8[Tensor, "n 3 h w"], maps: UInt8[Tensor, "n size size"], names: Sequence[str], folder: Path
) -> list[Path]:
    """Write pages of photos with the borders of their regions and a grid.

    Returns:
        The pages: ``regions_1.png``, ``regions_2.png``, ... in the folder.
    """
    from PIL import Image, ImageColor, ImageDraw

    palette = torch.tensor([ImageColor.getrgb(colour) for colour in COLOURS], dtype=torch.uint8)
    written = []
    for number, part in enumerate(torch.arange(len(maps)).split(COLUMNS * ROWS), 1):
        page = Image.new("RGB", (COLUMNS * SIDE, -(-len(part) // COLUMNS) * SIDE))
        for k, row in enumerate(part.tolist()):
            picture = Image.fromarray(photos[row].permute(1, 2, 0).numpy()).resize((SIDE, SIDE))
            named = Image.fromarray(maps[row].numpy()).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            region = torch.tensor(list(named.tobytes())).view(SIDE, SIDE)
            border = torch.zeros(SIDE, SIDE, dtype=torch.bool)
            border[1:] |= region[1:] != region[:-1]
            border[:-1] |= region[1:] != region[:-1]
            border[:, 1:] |= region[:, 1:] != region[:, :-1]
            border[:, :-1] |= region[:, 1:] != region[:, :-1]
            colours = Image.fromarray(palette[region].numpy())
            picture = Image.blend(picture, colours, 0.15)
            draw = ImageDraw.Draw(picture, "RGBA")
            for tick in range(1, 16):
                at = tick * SIDE // 16
                strong = 110 if tick % 4 == 0 else 45
                draw.line([(at, 0), (at, SIDE)], fill=(255, 255, 255, strong))
                draw.line([(0, at), (SIDE, at)], fill=(255, 255, 255, strong))
            picture.paste(colours, mask=Image.fromarray(border.numpy()))
            draw.text((4, SIDE - 14), names[row], fill="white", stroke_width=2, stroke_fill="black")
            page.paste(picture, (k % COLUMNS * SIDE, k // COLUMNS * SIDE))
        written.append(folder / f"regions_{number}.png")
        page.save(written[-1])
    return written


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    options = parser.parse_args(arguments)
    faces = load_faces(options.faces, "test")
    labels = load_labels(DATA, faces)
    rows, maps = checked_regions(faces, labels)
    options.out.mkdir(parents=True, exist_ok=True)
    sheets(faces.images[rows], maps, [faces.names[row] for row in rows.tolist()], options.out)
    shares = overlap(labels.regions[rows], maps)
    print(f"{len(rows)} photos; measured against corrected, intersection over union:")
    for name, share in zip(REGIONS, shares.tolist(), strict=True):
        print(f"{name:12} {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
