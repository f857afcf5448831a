"""Whole edits of held-out faces by several recipes: seconds, the paper's objective at the end, and what a judge says.

    python -m benchmarks.faces.recipes --faces FACES --out SHEETS

Each face is edited with the bundled models by each recipe, a batch at a time, the recipes taking turns. The objective
is :func:`maskedit.recipes.paper`'s with all of its terms and weights, taken once of the picture that the recipe
generated, with the masks of the input as they are. Success is the judge's, which nothing was optimised against.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import maskedit as me
from benchmarks.faces.checked import checked_attributes
from benchmarks.faces.photos import labelled_faces
from maskedit.files import write_whole
from maskedit.metrics import psnr
from maskedit.models.weights.bundled import load_judge
from maskedit.schedule import Change, Moment
from maskedit.training.sheets import sheet

RECIPES: Mapping[str, Callable[..., me.Recipe]] = {
    "paper": me.recipes.paper,
    "balanced": me.recipes.balanced,
    "fast": me.recipes.fast,
}
COLUMNS = ("recipe", "seconds a face", "share of the paper's", "objective", "judge", "PSNR outside", "steps")


@dataclass(frozen=True)
class PutNoise:
    """On entering a stage: these noise maps."""

    noises: tuple[Tensor, ...]

    def __call__(self, moment: Moment) -> Change:
        return Change(noises=self.noises)


def objective(problem: me.Problem, attribute: str, result: me.Result) -> Tensor:
    """The paper's objective of a result, ``[b]``: one step that nobody takes."""
    _, edit, _, _ = me.recipes.paper(attribute)
    terms = edit.terms + me.white_noise()
    put = PutNoise(tuple(result.noises))
    stage = me.Stage("evaluate", 1, terms, vary=[me.latent(lr=0.0), me.noise(lr=0.0)], on_enter=[put])
    start = me.Problem(problem.models, problem.image, attribute, start=result.latent)
    return next(iter(me.steps(start, me.Schedule(stage, blend=None)))).total


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--attributes", nargs="+", default=("smiling", "blond_hair"))
    parser.add_argument("--count", type=int, default=20, help="faces an attribute")
    parser.add_argument("--batch", type=int, default=1, help="faces at a time")
    parser.add_argument("--share", type=float, default=1.0, help="of each recipe's steps, to try things out")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--out", type=Path, help="folder for sheets: the photos, and a row for each recipe")
    chosen = parser.parse_args(arguments)
    me.keep_memory()
    models, judge = me.load(), load_judge()
    faces = labelled_faces(chosen.faces, "test")
    photos = faces.resized(models.generator.resolution).float() / 255
    rows: list[dict[str, Any]] = []
    for name in chosen.attributes:
        lacking = (checked_attributes(faces.names, [name])[:, 0] == 0).nonzero()[:, 0]
        lacking = lacking[torch.linspace(0, len(lacking) - 1, min(chosen.count, len(lacking))).long()]
        taken: dict[str, list[tuple[float, me.Result, Tensor]]] = {recipe: [] for recipe in RECIPES}
        for part in photos[lacking].split(chosen.batch):
            for recipe, make in RECIPES.items():
                schedule = shorter(make(name), chosen.share)
                begun = time.perf_counter()
                problem = make(name).problem(models, part)
                result = me.run(problem, schedule)
                seconds = (time.perf_counter() - begun) / len(part)
                taken[recipe].append((seconds, result, objective(problem, name, result)))
        print(f"{name}, {len(lacking)} faces, {chosen.batch} at a time, torch {torch.__version__}, ", end="")
        print(f"{torch.get_num_threads()} threads\n\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
        paper = [seconds for seconds, _, _ in taken["paper"]]
        for recipe, make in RECIPES.items():
            seconds, results, totals = zip(*taken[recipe], strict=True)
            pictures = torch.cat([result.image for result in results]).clamp(0, 1)
            outside = torch.cat([1 - result.masks["blend"] for result in results])
            drawn = torch.cat([result.generated for result in results])
            with torch.no_grad():
                judged = (judge.classify(pictures, [name])[:, 0] > 0).float().mean().item()
            row = {
                "attribute": name,
                "recipe": recipe,
                "seconds": statistics.median(seconds),
                "share": statistics.median(a / b for a, b in zip(seconds, paper, strict=True)),
                "objective": torch.cat(totals).mean().item(),
                "judge": judged,
                "psnr_outside": psnr(drawn, photos[lacking], outside).mean().item(),
                "steps": shorter(make(name), chosen.share).steps,
            }
            rows.append(row)
            shown = [f"{row[key]:.3g}" for key in ("seconds", "share", "objective", "judge", "psnr_outside", "steps")]
            print(f"| {recipe} | {' | '.join(shown)} |", flush=True)
        print()
        if chosen.out:
            chosen.out.mkdir(parents=True, exist_ok=True)
            strips = [torch.cat([r.image for _, r, _ in taken[recipe]])[:10].clamp(0, 1) for recipe in RECIPES]
            sheet(chosen.out / f"{name}.png", photos[lacking][:10], *strips)
    if chosen.json:
        write_whole(chosen.json, json.dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n")


def shorter(schedule: me.Schedule, share: float) -> me.Schedule:
    """The schedule with that share of each stage's steps."""
    stages = [replace(stage, steps=max(1, round(stage.steps * share))) for stage in schedule]
    return me.Schedule(*stages, blend=schedule.blend)


if __name__ == "__main__":
    main()
