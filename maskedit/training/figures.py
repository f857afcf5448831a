"""Figures of the bundled models on the held-out faces, as Markdown tables or JSON.

``python -m maskedit.training.figures models --faces FOLDER --labels LABELS``: parser, classifier, judge, landmarks.
``... distances``: generated against held-out faces. ``... reconstruction``: encoder, fit and detail. ``... edits``:
what edits do, by the judge. ``... blends``: one edit blended in each way. Both with sheets if ``--out`` is given (they
show real people: keep them to yourself).
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.models.weights.bundled import load, load_embedding, load_judge, load_landmarks
from maskedit.protocols import Classifier, Models, Parser
from maskedit.training.blends import blends
from maskedit.training.checked import CHECKED, checked_attributes
from maskedit.training.checked_regions import checked_regions, overlap
from maskedit.training.classifier import balanced_accuracy
from maskedit.training.distances import distances
from maskedit.training.edits import edits
from maskedit.training.faces import Faces, load_faces
from maskedit.training.labels import SIZE, Labels, load_labels
from maskedit.training.landmarks import held_out_error
from maskedit.training.reconstruction import reconstruction
from maskedit.training.tables import Table

FEWEST = 5
"""With fewer pictures that have an attribute, or have it not, its accuracy is no figure."""


def spread(faces: Faces, count: int | None) -> Faces:
    """So many of the photos, at even distances; all by default."""
    count = min(count or len(faces), len(faces))
    rows = [i * len(faces) // count for i in range(count)]
    return Faces(
        names=tuple(faces.names[i] for i in rows),
        images=faces.images[rows],
        landmarks=faces.landmarks[rows],
        synthetic=tuple(faces.synthetic[i] for i in rows),
    )


def known_attributes(faces: Faces, names: Sequence[str]) -> Float[Tensor, "n attributes"]:
    """What was found by eye; NaN for attributes that were not looked at."""
    found = torch.full((len(faces), len(names)), math.nan)
    looked = [i for i, name in enumerate(names) if name in CHECKED]
    found[:, looked] = checked_attributes(faces.names, [names[i] for i in looked])
    return found


def logits_of(net: Classifier, faces: Faces, names: Sequence[str]) -> Float[Tensor, "n attributes"]:
    with torch.no_grad():
        return torch.cat([net.classify(part.float() / 255, names) for part in faces.resized(SIZE).split(64)])


def accuracies(
    logits: Float[Tensor, "n a"], wanted: Float[Tensor, "n a"], rows: Bool[Tensor, " n"]
) -> Float[Tensor, " a"]:
    """Balanced accuracy of each attribute on some photos; NaN where too few have it or have it not."""
    enough = torch.stack([(wanted[rows] == value).sum(0) >= FEWEST for value in (0, 1)]).all(0)
    return balanced_accuracy(logits[rows], wanted[rows]).where(enough, torch.nan)


def attribute_figures(judges: dict[str, Classifier], faces: Faces) -> list[Table]:
    """Accuracy against what was found by eye: beside the majority's, and balanced (the majority's is a half).

    Balanced of all photos, of official portraits, and of synthetic faces.
    """
    tables = []
    synthetic = torch.tensor(faces.synthetic)
    for title, net in judges.items():
        names = net.attributes
        wanted, logits = known_attributes(faces, names), logits_of(net, faces, names)
        sets = (torch.ones_like(synthetic), ~synthetic, synthetic)
        shares = torch.stack([accuracies(logits, wanted, rows) for rows in sets], 1)
        right = torch.where(wanted.isnan(), torch.nan, ((logits > 0) == (wanted > 0.5)).float()).nanmean(0)
        present = wanted.nanmean(0)
        rows: list[tuple[str | float | int, ...]] = []
        for i, name in enumerate(names):
            counts = [int((wanted[:, i] == value).sum()) for value in (1, 0)]
            majority = float(torch.maximum(present[i], 1 - present[i]))
            rows.append((name, *counts, majority, float(right[i]), *shares[i].tolist()))
        means = torch.tensor([row[3:] for row in rows]).nanmean(0).tolist()
        rows.append(("mean", math.nan, math.nan, *means))
        head = ("attribute", "present", "absent", "majority's accuracy", "accuracy", "balanced accuracy")
        tables.append(Table(f"{title}, on attributes found by eye", (*head, "official", "synthetic"), tuple(rows)))
    return tables


@torch.no_grad()
def region_figures(parser: Parser, faces: Faces, labels: Labels) -> Table:
    """Intersection over union with the regions corrected by eye, of the parser and of the measured maps it learned."""
    checked, right = checked_regions(faces, labels)
    found = {"measured maps": labels.regions[checked]}
    for through in (128, 64):
        photos = faces.resized(through)[checked].float() / 255
        maps = [parser.parse(part, REGIONS).argmax(1).byte() for part in photos.split(32)]
        found[f"parser, photos at {through} px"] = torch.cat(maps)
    columns = [overlap(maps, right) for maps in found.values()]
    cells = ([*column.tolist(), float(column.nanmean())] for column in columns)
    rows = zip((*REGIONS, "mean"), *cells, strict=True)
    title = f"Intersection over union with the regions of {len(checked)} photos, corrected by eye"
    return Table(title, ("region", *found), tuple(rows))


def landmark_figures(faces: Faces) -> Table:
    """Mean distance of the 68 points over the eye distance."""
    errors = [float(held_out_error(load_landmarks(), faces, vary).mean()) for vary in (0.0, 1.0)]
    rows = zip(("tight crops", "crops varied in place, size and turn"), errors, strict=True)
    return Table("Landmarks, mean error over the eye distance", ("photos", "error"), tuple(rows))


def model_figures(models: Models, faces: Faces, labels: Labels) -> list[Table]:
    """Parser, classifier, judge and landmark network."""
    parser, classifier = models.parser, models.classifier
    assert parser is not None
    assert classifier is not None
    judges: dict[str, Classifier] = {"Classifier": classifier, "Judge": load_judge()}
    return [region_figures(parser, faces, labels), *attribute_figures(judges, faces), landmark_figures(faces)]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("models", "distances", "reconstruction", "edits", "blends"))
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--labels", type=Path, required=True, help="folder that maskedit.training.labels wrote")
    parser.add_argument("--count", type=int, help="faces of an edit, or to reconstruct; all by default")
    parser.add_argument("--batch", type=int, default=30, help="faces at a time")
    parser.add_argument("--out", type=Path, help="folder for the sheets of edits")
    parser.add_argument("--json", action="store_true", help="print JSON, not Markdown")
    options = parser.parse_args(arguments)
    models, test = load("portraits"), load_faces(options.faces, "test")
    if options.what == "models":
        tables = model_figures(models, test, load_labels(options.labels, test))
    elif options.what == "distances":
        tables = [distances(models, load_embedding(), load_faces(options.faces, "train"), test)]
    elif options.what == "reconstruction":
        train, some = load_faces(options.faces, "train"), spread(test, options.count)
        tables = [reconstruction(models, load_embedding(), train, some, batch=options.batch)]
    else:
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
        assert models.classifier is not None
        known = known_attributes(test, models.classifier.attributes)
        if options.what == "blends":
            shown = ("blond_hair", "wearing_lipstick", "smiling")
            tables = [blends(models, test, known, attributes=shown, count=options.count or 8, out=options.out)]
        else:
            choice = {"count": options.count, "batch": options.batch, "out": options.out}
            tables = [edits(models, load_judge(), load_embedding(), test, known, **choice)]
    if options.json:
        print(json.dumps([table.json() for table in tables], indent=1))
    else:
        print(*tables, sep="\n")


if __name__ == "__main__":
    main()
