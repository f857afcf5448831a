"""Figures of parser, classifier, judge and landmark network on the held-out faces."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmarks.faces.checked import known_attributes
from benchmarks.faces.checked_regions import checked_regions
from benchmarks.faces.tables import Table
from maskedit.attributes import REGIONS
from maskedit.metrics import intersection_over_union
from maskedit.models.weights.bundled import load_judge, load_landmarks
from maskedit.protocols import Classifier, Models, Parser
from maskedit.training.classifier import balanced_accuracy
from maskedit.training.faces import Faces
from maskedit.training.labels import SIZE, Labels
from maskedit.training.landmarks import held_out_error

FEWEST = 5
"""With fewer pictures that have an attribute, or have it not, its accuracy is no figure."""


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
    columns = [intersection_over_union(maps, right, len(REGIONS)) for maps in found.values()]
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
