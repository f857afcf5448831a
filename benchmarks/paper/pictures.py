"""The pictures of a comparison: originals from a folder, and edits that are made once and kept as files."""

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image as Pillow
from torch import Tensor

from maskedit.edit import Edit
from maskedit.editors import Editor
from maskedit.errors import InputError
from maskedit.files import replacing
from maskedit.protocols import Classifier

KINDS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Originals:
    """Aligned faces.

    Args:
        names: of their files, without the suffix.
        images: ``[n, 3, size, size]`` in [0, 1].
    """

    names: tuple[str, ...]
    images: Float[Tensor, "n 3 size size"]


def read_originals(folder: Path, size: int, count: int, *, needed: int) -> Originals:
    """The first ``count`` faces of a folder, at ``size`` pixels.

    A folder with ``manifest.csv`` and ``aligned/`` gives its held-out faces (split "test"), any other its pictures in
    the order of their names. Faces must be aligned and square.

    Args:
        folder: the faces.
        size: side in pixels; pictures are averaged over areas.
        count: how many at most.
        needed: how many at least.

    Raises:
        InputError: if there are fewer than needed, or one is not square.
    """
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        with manifest.open(newline="") as file:
            paths = [folder / "aligned" / row["file"] for row in csv.DictReader(file) if row["split"] == "test"]
    else:
        paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in KINDS)
    if len(paths) < needed:
        raise InputError(
            f"too few faces in {folder}", expected=f"at least {needed} for this table", actual=str(len(paths))
        )
    # Spread over the folder, since neighbours are often of one source.
    paths = sorted(paths, key=lambda path: zlib.crc32(path.name.encode()))[:count]
    return Originals(tuple(path.stem for path in paths), torch.stack([read_picture(path, size) for path in paths]))


def read_picture(path: Path, size: int | None = None) -> Float[Tensor, "3 size size"]:
    """A picture in [0, 1], averaged over areas to ``size``.

    Raises:
        InputError: if it cannot be read, or is not square.
    """
    try:
        with Pillow.open(path) as picture:
            image = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255
    except OSError as error:
        raise InputError(f"{path} cannot be read as a picture", actual=str(error)) from error
    if image.shape[1] != image.shape[2]:
        raise InputError(
            f"{path} is not square", expected="an aligned face", actual=f"{image.shape[2]} x {image.shape[1]} px"
        )
    return image if size in (None, image.shape[1]) else F.interpolate(image[None], size=size, mode="area")[0]


def present(classifier: Classifier, images: Float[Tensor, "n 3 h w"], name: str) -> Bool[Tensor, " n"]:
    """Which faces show the attribute already: those lose it, the others gain it, as in the paper."""
    with torch.no_grad():
        return torch.cat([classifier.classify(part, [name])[:, 0] > 0 for part in images.split(32)])


def edited_pictures(
    editor: Editor,
    originals: Originals,
    name: str,
    has: Bool[Tensor, " n"],
    folder: Path,
    *,
    batch: int = 1,
) -> tuple[Float[Tensor, "n 3 size size"], float]:
    """Each face with an attribute inverted, and the seconds a picture; what is in the folder is not made again.

    Args:
        editor: makes the edits.
        originals: the faces.
        name: of the attribute.
        has: which show it already.
        folder: for the pictures, ``FACE.png``, and ``seconds.csv``.
        batch: faces at a time; a crash loses these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "seconds.csv"
    for target in (1, 0):
        rows = [i for i in range(len(has)) if bool(has[i]) != bool(target)]
        rows = [i for i in rows if not (folder / f"{originals.names[i]}.png").is_file()]
        for start in range(0, len(rows), batch):
            some = rows[start : start + batch]
            seeds = [zlib.crc32(originals.names[i].encode()) for i in some]
            edited = editor.edit(originals.images[some], Edit({name: target}), seeds)
            for i, image in zip(some, edited.images, strict=True):
                write_picture(folder / f"{originals.names[i]}.png", image)
            with log.open("a") as file:
                file.write("".join(f"{originals.names[i]},{edited.seconds / len(some):.4f}\n" for i in some))
    pictures = torch.stack([read_picture(folder / f"{face}.png") for face in originals.names])
    return pictures, seconds_of(log, originals.names)


def seconds_of(log: Path, names: Sequence[str]) -> float:
    """The mean of what the pictures took, the last time that each was made."""
    took = dict(line.rsplit(",", 1) for line in log.read_text().splitlines())
    known = [float(took[name]) for name in names if name in took]
    return sum(known) / len(known)


def write_picture(path: Path, image: Float[Tensor, "3 h w"]) -> None:
    """A picture in [0, 1] as PNG, whole or not at all."""
    pixels = image.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    with replacing(path) as file:
        Pillow.fromarray(pixels).save(file, "PNG")
