"""Regions of photos, corrected by eye, and the sheets for it.

The held-out photos are every third official portrait and every fourth synthetic face of the test split, in the
manifest's order; the figures are of these. The others, spread over the training split, are what the parser learns from
more than from any measured map; they were corrected faster and by others, and not all were looked at again.

Each began as the measured map (``maskedit/training/labels.py``; no parser had a part in it) and was looked at with its
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

``python -m benchmarks.faces.checked_regions --faces FOLDER --out SHEETS`` writes the sheets again, with a grid of
1/16 of the side, and prints how far the measured maps lie from the corrected ones.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Int64, UInt8
from torch import Tensor

from benchmarks.faces import DATA
from benchmarks.faces.photos import labelled_faces
from maskedit.attributes import REGIONS
from maskedit.metrics import intersection_over_union
from maskedit.training.faces import Faces
from maskedit.training.given_regions import read_regions
from maskedit.training.labels import Labels, load_labels
from maskedit.training.sheets import write_png

COLOURS = ("white", "red", "magenta", "cyan", "yellow", "orange", "lime", "blue", "gray")  # of REGIONS, on the sheets

SIDE, COLUMNS, ROWS = 512, 3, 2


def checked_regions(faces: Faces, labels: Labels) -> tuple[Int64[Tensor, " n"], UInt8[Tensor, "n size size"]]:
    """The photos whose regions were corrected by eye.

    Args:
        faces: any photos.
        labels: what was measured of them, as ``load_labels(DATA, faces)`` returns.

    Returns:
        The rows in ``faces`` of those that were checked, and their corrected maps of indices into ``REGIONS``.
    """
    return read_regions(DATA / "checked_regions.json").over(labels.regions, faces.names)


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
            picture = Image.fromarray(rearrange(photos[row], "c h w -> h w c").numpy()).resize((SIDE, SIDE))
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
        write_png(written[-1], page)
    return written


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    options = parser.parse_args(arguments)
    faces = labelled_faces(options.faces, "test")
    labels = load_labels(DATA, faces)
    rows, maps = checked_regions(faces, labels)
    options.out.mkdir(parents=True, exist_ok=True)
    sheets(faces.images[rows], maps, [faces.names[row] for row in rows.tolist()], options.out)
    shares = intersection_over_union(labels.regions[rows], maps, len(REGIONS))
    print(f"{len(rows)} photos; measured against corrected, intersection over union:")
    for name, share in zip(REGIONS, shares.tolist(), strict=True):
        print(f"{name:12} {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
