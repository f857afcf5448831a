"""Attributes of the held-out photos, checked by eye, and the contact sheets for it.

Every value of ``data/checked_attributes.csv`` was looked at: on sheets of whole faces, and on sheets of mouths, brows,
noses and eyes sorted by their measurement (``maskedit/training/labels.py``), on which those that stand on the wrong
side are quick to see; most of them a second time, on sheets grouped by the value given. There was a single judge, so
how well two would agree is not known. 1 is present, 0 absent; a field is empty where one could not say with care.
The names are meant as CelebA means them; the doubtful ones were read so:

- at most one hair colour and one hair shape is present; hair dyed green, blue, pink or red is none of the colours, a
  saturated yellow is blond, and brown is left open for natural red hair; hair cropped or lost has no shape;
- the mouth is slightly open when the lips are apart, so smiles that show the teeth count;
- brows are bushy when thick and dense, gray ones too; eyes are narrow when squinting or small in their opening;
- noses are judged as they are seen from the front: big is broad or long, pointy is a narrow tip;
- young is below about 40 and left open around it; pale is much lighter than most light skin here.

``python -m benchmarks.faces.checked --faces FOLDER --out SHEETS`` writes such sheets again, each photo's number
green where the attribute is present, red where it is absent and gray where that could not be said, and prints how many
values differ from the measured labels.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from benchmarks.faces import DATA
from benchmarks.faces.photos import labelled_faces
from maskedit.attributes import ATTRIBUTE_REGIONS, HAIR_COLOURS, HAIR_SHAPES
from maskedit.errors import InputError
from maskedit.training.augment import affine, warp_affine
from maskedit.training.faces import Faces
from maskedit.training.given_attributes import read_attributes
from maskedit.training.labels import Labels, load_labels
from maskedit.training.measured_attributes import MEASURED, MEASURES, hair_colours
from maskedit.training.sheets import write_png

CHECKED = (*ATTRIBUTE_REGIONS, "young", "pale_skin")
"""The attributes that were checked: those of Table I and two more."""

# Where to look for what shows in a small part of the face: landmarks, side of the crop in eye distances.
VIEWS: Mapping[str, tuple[slice, float]] = {
    "mouth": (slice(48, 68), 1.6),
    "eyebrows": (slice(17, 27), 2.2),
    "nose": (slice(27, 36), 1.4),
    "eyes": (slice(36, 48), 2.0),
}
ORDERED_BY = {**{name: measure for name, (measure, _, _) in MEASURED.items()}, "pale_skin": "skin_L"}
ORDERED_BY.update(dict.fromkeys(HAIR_SHAPES, "strands"))

SIDE, COLUMNS, ROWS = 150, 10, 6


def checked_attributes(names: Sequence[str], attributes: Sequence[str]) -> Float[Tensor, "n attributes"]:
    """What was found by eye: 1 present, 0 absent, NaN where a careful person could not say.

    Args:
        names: file names of held-out photos, as in the manifest.
        attributes: which of ``CHECKED``.

    Raises:
        InputError: if a photo or an attribute was not checked.
    """
    table = read_attributes(DATA / "checked_attributes.csv")
    for name in names:
        if name not in table.rows:
            raise InputError(f"the photo {name!r} was not checked by eye", expected="a photo of the split 'test'")
    for name in attributes:
        if name not in table.attributes:
            raise InputError(f"the attribute {name!r} was not checked by eye", expected=f"one of {', '.join(CHECKED)}")
    return table.of(names)[:, [table.attributes.index(name) for name in attributes]]


def known_attributes(faces: Faces, names: Sequence[str]) -> Float[Tensor, "n attributes"]:
    """What was found by eye; NaN for attributes that were not looked at."""
    found = torch.full((len(faces), len(names)), torch.nan)
    looked = [i for i, name in enumerate(names) if name in CHECKED]
    found[:, looked] = checked_attributes(faces.names, [names[i] for i in looked])
    return found


def view(faces: Faces, attribute: str) -> UInt8[Tensor, "n 3 side side"]:
    """The part of each photo in which an attribute shows, ``SIDE`` pixels wide."""
    region = ATTRIBUTE_REGIONS.get(attribute, ("all",))[0]
    photos = faces.images.float() / 255
    if region in VIEWS:
        points, width = VIEWS[region]
        left, right = faces.landmarks[:, 36:42].mean(1), faces.landmarks[:, 42:48].mean(1)
        middle, none = faces.landmarks[:, points].mean(1), torch.zeros(len(faces))
        place = affine(middle, width * (right - left).norm(dim=1), none, none)
    else:
        one, none = torch.ones(len(faces)), torch.zeros(len(faces))
        place = affine(torch.full((len(faces), 2), 0.5), one, none, none)
    return warp_affine(photos, place, SIDE).clamp(0, 1).mul(255).round().byte()


def order(labels: Labels, attribute: str) -> Int64[Tensor, " n"]:
    """The photos sorted by what was measured of an attribute; as they come if nothing was."""
    if attribute in HAIR_COLOURS:
        return hair_colours(labels.hair)[:, HAIR_COLOURS.index(attribute)].argsort()
    if attribute in ORDERED_BY:
        return labels.measures[:, MEASURES.index(ORDERED_BY[attribute])].argsort()
    return torch.arange(len(labels.measures))


def sheets(
    pictures: UInt8[Tensor, "n 3 side side"], values: Float[Tensor, " n"], rows: Int64[Tensor, " n"], path: Path
) -> list[Path]:
    """Write pages of pictures, ``rows`` first to last, each with its number in the colour of its value.

    Returns:
        The pages: ``path`` with _1, _2, ... before its suffix.
    """
    from PIL import Image, ImageDraw, ImageFont

    line, font, written = 18, ImageFont.load_default(15), []
    for number, part in enumerate(rows.split(COLUMNS * ROWS), 1):
        page = Image.new("RGB", (COLUMNS * (SIDE + 2), -(-len(part) // COLUMNS) * (SIDE + line)), "white")
        draw = ImageDraw.Draw(page)
        for k, row in enumerate(part.tolist()):
            x, y = k % COLUMNS * (SIDE + 2), k // COLUMNS * (SIDE + line)
            colour = {1.0: "green", 0.0: "red"}.get(values[row].item(), "gray")
            draw.text((x + 2, y), str(row), fill=colour, font=font)
            page.paste(Image.fromarray(rearrange(pictures[row], "c h w -> h w c").numpy()), (x, y + line))
        written.append(path.with_stem(f"{path.stem}_{number}"))
        write_png(written[-1], page)
    return written


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--labels", type=Path, default=DATA, help="folder that maskedit.training.labels wrote")
    options = parser.parse_args(arguments)
    faces = labelled_faces(options.faces, "test")
    labels = load_labels(options.labels, faces)
    options.out.mkdir(parents=True, exist_ok=True)
    found = checked_attributes(faces.names, CHECKED)
    for attribute, values in zip(CHECKED, found.unbind(1), strict=True):
        sheets(view(faces, attribute), values, order(labels, attribute), options.out / f"{attribute}.png")
        counts = ", ".join(f"{(values == value).sum()} {word}" for value, word in ((1, "present"), (0, "absent")))
        told = f"{attribute}: {counts}, {values.isnan().sum()} not to be said"
        if attribute in MEASURED or attribute in HAIR_COLOURS:
            measured = labels.attributes([attribute])[:, 0]
            both = ~(measured.isnan() | values.isnan())
            told += f"; {(measured != values)[both].sum()} of {both.sum()} differ from the measured label"
        print(told)


if __name__ == "__main__":
    main()
