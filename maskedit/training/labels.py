"""Labels by measurement, of a folder of photos: regions from landmarks and colours, attributes from both.

No person drew these labels and no foreign model made them, apart from the 68 landmarks.
``python -m maskedit.training.labels --faces FOLDER --out LABELS`` writes ``regions.npz`` and ``measures.csv``.
"""

import argparse
import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from maskedit.attributes import HAIR_COLOURS, HAIR_SHAPES
from maskedit.errors import InputError
from maskedit.files import replacing, write_whole
from maskedit.training.augment import region_mask
from maskedit.training.colour import dye
from maskedit.training.faces import Faces, load_faces
from maskedit.training.measured_attributes import MEASURED, MEASURES, ends, hair_colours, hair_ends, measure
from maskedit.training.measured_regions import measured_regions

SIZE = 128
"""Side of the region maps."""
SKIN = MEASURES.index("skin_L"), MEASURES.index("skin_b")
"""Pale skin is light and not yellow."""


@dataclass(frozen=True)
class Labels:
    """What :func:`main` wrote about some photos.

    Args:
        regions: index into ``REGIONS`` of each pixel.
        hair: typical Lab colour of each head of hair.
        dyeable: whether there is hair enough, of another colour than the skin, for that to mean something.
        measures: the numbers that attributes are ranked by, one column for each of ``MEASURES``.
    """

    regions: UInt8[Tensor, "n size size"]
    hair: Float[Tensor, "n 3"]
    dyeable: Bool[Tensor, " n"]
    measures: Float[Tensor, "n measures"]

    def attributes(self, names: Sequence[str]) -> Float[Tensor, "n attributes"]:
        """1, 0 or NaN (not known) for each photo and attribute."""
        hair = torch.where(self.dyeable[:, None], hair_ends(self.hair), torch.nan)
        columns = dict(zip(HAIR_COLOURS, hair.unbind(1), strict=True))
        for name, (by, absent, present) in MEASURED.items():
            columns[name] = ends(self.measures[:, MEASURES.index(by)], absent, present)
        for name in HAIR_SHAPES:
            columns[name] = torch.where(self.dyeable, columns[name], torch.nan)
        columns["pale_skin"] = ends(self.measures[:, SKIN[0]] - self.measures[:, SKIN[1]], 50.0, 57.0)
        columns["young"] = torch.full_like(columns["pale_skin"], torch.nan)  # no measurement tells
        return torch.stack([columns[name] for name in names], 1)

    def dyed(
        self, images: Float[Tensor, "b 3 h w"], rows: Int64[Tensor, " b"], share: float, rng: torch.Generator
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3"]]:
        """Pictures of these rows, a ``share`` of them with another person's hair colour, blond as often as brown.

        Returns:
            The pictures, and the Lab colour of the hair in each.
        """
        kinds = hair_colours(self.hair) > 0
        kinds = torch.cat([kinds, ~kinds.any(1, keepdim=True)], 1) & self.dyeable[:, None]
        likely = (kinds / kinds.sum(0).clamp(min=1)).sum(1)
        donors = torch.multinomial(likely, len(rows), replacement=True, generator=rng)
        chosen = self.dyeable[rows] & (torch.rand(len(rows), generator=rng) < share)
        now = torch.where(chosen[:, None], self.hair[donors], self.hair[rows])
        hair = F.interpolate(region_mask(self.regions[rows], ["hair"]), size=images.shape[-1])
        images = images.clone()
        if chosen.any():
            images[chosen] = dye(images[chosen], hair[chosen], self.hair[rows][chosen], now[chosen])
        return images, now


def label(images: UInt8[Tensor, "n 3 h w"], landmarks: Float[Tensor, "n 68 2"]) -> Labels:
    """Measure some photos."""
    photos = images.float() / 255
    maps = measured_regions(photos, landmarks)
    rows = [measure(*one) for one in zip(photos, landmarks, maps, strict=True)]
    return labels_from(maps, torch.tensor(rows))


def labels_from(maps: UInt8[Tensor, "n size size"], measures: Float[Tensor, "n measures"]) -> Labels:
    """The labels that follow from region maps and measures."""
    hair, skin, area = measures[:, 0:3], measures[:, 3:6], measures[:, 6]
    dyeable = (area > 0.05) & ((hair - skin).norm(dim=1) > 14)
    return Labels(regions=maps, hair=hair, dyeable=dyeable, measures=measures)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--out", type=Path, required=True, help="folder for regions.npz and measures.csv")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    faces = load_faces(options.faces, "all")
    images, done = faces.resized(SIZE), []
    for start in range(0, len(faces), 16):
        done.append(label(images[start : start + 16], faces.landmarks[start : start + 16]))
        print(f"{min(start + 16, len(faces))} of {len(faces)} photos", flush=True)
    maps, measures = (torch.cat([getattr(part, name) for part in done]) for name in ("regions", "measures"))
    with replacing(options.out / "regions.npz") as file:
        np.savez_compressed(file, names=np.array(faces.names), regions=maps.numpy())
    table = io.StringIO(newline="")
    rows = zip(faces.names, measures.tolist(), strict=True)
    csv.writer(table).writerows([["file", *MEASURES], *([name, *(f"{x:.4g}" for x in row)] for name, row in rows)])
    write_whole(options.out / "measures.csv", table.getvalue())


def load_labels(folder: Path, faces: Faces) -> Labels:
    """What :func:`main` wrote, for these photos in their order.

    Raises:
        InputError: if the folder has no labels, damaged ones, or not those of all photos.
    """
    for name in ("regions.npz", "measures.csv"):
        if not (folder / name).is_file():
            hint = "python -m maskedit.training.labels --faces FACES --out LABELS makes them."
            raise InputError(f"there is no {folder / name}", expected="regions.npz and measures.csv", hint=hint)
    try:
        with (folder / "measures.csv").open(newline="") as file:
            table = {row["file"]: [float(row[name]) for name in MEASURES] for row in csv.DictReader(file)}
        with np.load(folder / "regions.npz") as arrays:
            place, regions = {str(name): i for i, name in enumerate(arrays["names"])}, arrays["regions"]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"the labels in {folder} are damaged", actual=f"{type(error).__name__}: {error}") from None
    if without := [name for name in faces.names if name not in place or name not in table]:
        raise InputError(
            f"{folder} has labels of other photos",
            expected=f"{without[0]!r} and {len(without) - 1} more among them",
        )
    if regions.shape != (len(place), SIZE, SIZE) or regions.dtype != np.uint8:
        raise InputError(
            f"the labels in {folder} are damaged",
            expected=f"regions {[len(place), SIZE, SIZE]} of bytes",
            actual=f"{list(regions.shape)} of {regions.dtype}",
        )
    maps = torch.from_numpy(regions[[place[name] for name in faces.names]])
    return labels_from(maps, torch.tensor([table[name] for name in faces.names]))


if __name__ == "__main__":
    main()
