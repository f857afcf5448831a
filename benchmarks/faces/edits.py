"""What edits do to held-out photos: whether they succeed, what else they change, and sheets to look at.

A judge says what is to be seen in the pictures: a classifier that no edit was ever optimised against.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmarks.faces.reconstruction import face_mask
from benchmarks.faces.tables import Table, shown
from maskedit.attributes import ATTRIBUTE_REGIONS, HAIR_COLOURS, HAIR_SHAPES
from maskedit.metrics import identity_similarity, moved, psnr, spill, success
from maskedit.models.networks.face_embedding import FaceEmbedding
from maskedit.problem import Problem
from maskedit.protocols import Classifier, Models
from maskedit.recipes import plausible
from maskedit.schedule import Schedule
from maskedit.solve import Result, run
from maskedit.training.faces import Faces
from maskedit.training.loop import step_rng
from maskedit.training.sheets import sheet
from maskedit.types import Image, Latent, Logits

HEAD = (
    *("edit", "faces", "judge before", "judge", "classifier"),
    *("others flipped", "others moved", "PSNR outside", "PSNR of the face outside", "identity distance"),
)
ON_SHEET = 8


def kin(attribute: str, known: Sequence[str]) -> list[int]:
    """The columns of an attribute and of those that it excludes: what an edit of it may change."""
    group = next((group for group in (HAIR_COLOURS, HAIR_SHAPES) if attribute in group), (attribute,))
    return [i for i, name in enumerate(known) if name in group]


def eligible(known: Float[Tensor, " n"], target: int, count: int | None, seed: int = 0) -> list[int]:
    """Rows that an edit has something to do in: those that have the attribute not, or have it, in a shuffled order."""
    rows = [i for i in torch.randperm(len(known), generator=step_rng(seed, 0)).tolist() if known[i] == 1 - target]
    return rows[:count]


class Fits:
    """The latents that an edit starts from: each photo is fitted once, whatever edits follow."""

    def __init__(self, models: Models, photos: Image) -> None:
        self.models, self.photos = models, photos
        self.done: dict[tuple[str, int], Tensor] = {}

    def latents(self, schedule: Schedule, rows: Sequence[int]) -> tuple[Latent, Schedule]:
        """Latents at the end of the first stage, and what is left of the schedule."""
        first, *rest = schedule
        assert schedule.blend is not None
        assert schedule.blend.since == first.name
        fit = Schedule(first, blend=None)
        missing = [row for row in rows if (str(fit), row) not in self.done]
        if missing:
            result = run(Problem(self.models, self.photos[missing], start="encoder"), fit)
            self.done |= {(str(fit), row): code for row, code in zip(missing, result.latent, strict=True)}
        codes = torch.stack([self.done[str(fit), row] for row in rows])
        return codes, Schedule(*rest, blend=replace(schedule.blend, since=None))

    def problem(self, schedule: Schedule, rows: Sequence[int], attribute: str) -> tuple[Problem, Schedule]:
        """The edit of these photos from there."""
        codes, edit = self.latents(schedule, rows)
        return Problem(self.models, self.photos[rows], attribute, start=codes), edit


def figures(
    result: Result,
    photos: Image,
    *,
    attribute: str,
    target: int,
    models: Models,
    judge: Classifier,
    net: FaceEmbedding,
    visible: Float[Tensor, "n 1 h w"],
) -> Float[Tensor, "n figures"]:
    """The columns of ``HEAD`` from "judge before" on, for each photo of a run."""

    def judged(by: Classifier, pictures: Image) -> Logits:
        return by.classify(pictures, by.attributes)

    def reached(by: Classifier, logits: Logits) -> Float[Tensor, " n"]:
        return success(logits[:, by.attributes.index(attribute)], target).float()

    classifier = models.classifier
    assert classifier is not None
    edited = result.image.clamp(0, 1)
    before, after = judged(judge, photos), judged(judge, edited)
    may = kin(attribute, judge.attributes)
    outside = 1 - result.masks["blend"]
    return torch.stack(
        [
            reached(judge, before),
            reached(judge, after),
            reached(classifier, judged(classifier, edited)),
            spill(before, after, but=may),
            moved(before, after, but=may),
            psnr(result.generated, photos, outside),
            psnr(result.generated, photos, outside * visible),
            1 - identity_similarity(net, photos, edited),
        ],
        1,
    )


def edits(
    models: Models,
    judge: Classifier,
    net: FaceEmbedding,
    faces: Faces,
    known: Float[Tensor, "n attributes"],
    *,
    count: int | None = None,
    batch: int = 32,
    out: Path | None = None,
) -> Table:
    """Set and remove each attribute of Table I that the classifier tells, as ``recipes.plausible`` does.

    Args:
        models: those that edit.
        judge: says what is to be seen before and after.
        net: for the identity distance.
        faces: the photos.
        known: 1, 0 or NaN for each photo and each of the classifier's attributes: edits go where they have something
            to do.
        count: how many faces an attribute and direction at most; all by default.
        batch: faces at a time.
        out: folder for contact sheets.
    """
    generator, classifier, parser = models.generator, models.classifier, models.parser
    assert classifier is not None
    assert parser is not None
    size = generator.resolution
    photos = faces.resized(size).float() / 255
    visible = F.interpolate(face_mask(parser, faces.resized(128).float() / 255), size=size, mode="area")
    fits = Fits(models, photos)
    rows: list[tuple[str | float | int, ...]] = []
    for attribute in [name for name in ATTRIBUTE_REGIONS if name in set(classifier.attributes) & set(judge.attributes)]:
        strips: list[Image] = []
        for target in (1, 0):
            chosen = eligible(known[:, classifier.attributes.index(attribute)], target, count)
            name = f"{attribute} {'set' if target else 'removed'}"
            parts, pictures = [], []
            for i in range(0, len(chosen), batch):
                some = chosen[i : i + batch]
                problem, edit = fits.problem(plausible({attribute: target}), some, attribute)
                result = run(problem, edit)
                with torch.no_grad():
                    parts.append(
                        figures(
                            result,
                            photos[some],
                            attribute=attribute,
                            target=target,
                            models=models,
                            judge=judge,
                            net=net,
                            visible=visible[some],
                        )
                    )
                    if i < ON_SHEET:
                        pictures.append(large(result, edit, faces.images[some].float() / 255))
            if chosen:
                rows.append((name, len(chosen), *torch.cat(parts).nanmean(0).tolist()))
                print(*map(shown, rows[-1]), sep=" | ", file=sys.stderr, flush=True)
                strips += [on_sheet(faces.images[chosen].float() / 255), on_sheet(torch.cat(pictures))]
        if out is not None and strips:
            sheet(out / f"{attribute}.png", *strips)
    if rows:
        means = torch.tensor([row[2:] for row in rows]).nanmean(0).tolist()
        rows.append(("mean of the edits", math.nan, *means))
    return Table(f"Edits of held-out photos at {size} px", HEAD, tuple(rows))


def on_sheet(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "m 3 h w"]:
    """The first ``ON_SHEET`` of them, and white ones in place of those that are missing."""
    first = pictures[:ON_SHEET]
    return torch.cat([first, first.new_ones(ON_SHEET - len(first), *first.shape[1:])])


def large(result: Result, schedule: Schedule, photos: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n 3 H W"]:
    """The edit in the photos at their own size."""
    assert schedule.blend is not None
    return schedule.blend(result.generated, result.fitted, photos, result.masks["blend"])
