"""The paper's component analysis in miniature: the classifiers of Table VII, the parsers of Table VIII.

``python -m benchmarks.faces.components classifiers --faces FOLDER --out RUN``, and ``parsers`` likewise. Each network,
all channels divided by ``--narrower``, sees the same pictures in the same order; then faces are edited with it,
everything else being the bundled models. Each has a folder with its training, what it says of the held-out faces, and
its edits; the table is made of these files alone. So the command goes on where it stopped, and ``--table`` prints what
there is.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

import maskedit as me
from benchmarks.faces import DATA
from benchmarks.faces.checked import checked_attributes
from benchmarks.faces.checked_regions import checked_regions
from benchmarks.faces.component_tables import NAMES, TABLES, Batch, Says, Table
from benchmarks.faces.photos import labelled_faces
from maskedit.attributes import REGIONS, target_regions
from maskedit.files import sha256, write_whole
from maskedit.metrics import intersection_over_union, psnr
from maskedit.models.weights.bundled import WEIGHTS, load_judge
from maskedit.training.classifier import balanced_accuracy
from maskedit.training.labels import SIZE, load_labels
from maskedit.training.loop import Training, linear_decay, step_rng, train
from maskedit.training.options import Hyperparameters


def learn(net: nn.Module, table: Table, batches: Batch, folder: Path, steps: int, batch: int, seed: int) -> nn.Module:
    """Train to the end, from the last checkpoint in the folder; frozen and in evaluation mode afterwards."""

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        photos, wanted = batches(i)
        with torch.autocast("cpu", torch.bfloat16):
            logits = table.says(net, (photos.float() / 255).to(memory_format=torch.channels_last))
        return {"loss": table.loss(logits.float(), wanted)}

    training = Training(
        network=net.requires_grad_(True),
        optimizer=torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02),
        rate=lambda i: linear_decay(i, steps, final=0.6),
        loss=loss,
        steps=steps,
    )
    hyper = Hyperparameters(batch=batch, seed=seed, average=0.0)  # so short a training is not averaged
    train(training, hyper, out=folder, every=min(steps, 100), device=torch.device("cpu"))
    return net.eval().requires_grad_(False)


def weights(net: nn.Module, says: Says, size: int) -> int:
    """How many weights take part in what the network says; the tree has branches for other attributes too."""
    net.zero_grad()
    net.requires_grad_(True)
    says(net, torch.zeros(2, 3, size, size)).sum().backward()
    used = sum(p.numel() for p in net.parameters() if p.grad is not None)
    net.zero_grad()
    net.requires_grad_(False)
    return used


def milliseconds(net: nn.Module, asked: Says, size: int) -> float:
    """CPU time a picture, forward and back to its pixels: the median of ten batches of eight.

    CPU time and not the clock's, as other work may share the machine; so use one thread.
    """
    pictures = torch.rand(8, 3, size, size, generator=step_rng(0, 0)).requires_grad_()
    taken = []
    for _ in range(12):
        begun = time.process_time()
        torch.autograd.grad(asked(net, pictures).sum(), pictures)
        taken.append(1000 * (time.process_time() - begun) / len(pictures))
    return statistics.median(taken[2:])


@torch.no_grad()
def examine(net: nn.Module, table: Table, photos: Tensor) -> Tensor:
    """What the network tells of each photo, as the table keeps it."""
    return torch.cat([table.told(table.says(net, part)) for part in photos.split(32)])


def fit_and_edit(
    models: me.Models, photos: Tensor, attribute: str, steps: tuple[int, int], fits: dict[str, Tensor], key: str
) -> me.Result:
    """:func:`maskedit.recipes.plausible` in two runs, as its fit, kept under ``key``, serves every attribute."""
    recipe = me.recipes.plausible(attribute, steps=steps)
    assert recipe.blend is not None
    fit, edit = recipe.stages
    if key not in fits:
        fits[key] = me.run(me.Problem(models, photos, start="encoder"), me.Schedule(fit, blend=None)).latent
    problem = me.Problem(models, photos, attribute, start=fits[key])
    return me.run(problem, me.Schedule(edit, blend=replace(recipe.blend, since=None)))


def faces_to_edit(known: Tensor, edits: Sequence[str], count: int) -> Tensor:
    """Rows of the faces that lack the most of these attributes, drawn among all sources."""
    absent = (known[:, [NAMES.index(name) for name in edits]] == 0).sum(1)
    order = torch.randperm(len(absent), generator=step_rng(0, 0))
    return order[absent[order].argsort(descending=True, stable=True)][:count].sort().values


def pooled_psnr(pictures: Tensor, photos: Tensor, where: Tensor) -> float:
    """dB of the squared error over these pixels of all pictures together; single ones may be unchanged, at infinity."""
    together = (rearrange(x, "n c h w -> 1 c (n h) w") for x in (pictures, photos, where))
    return min(float(psnr(*together)), 100.0)


def outside_of(attribute: str, regions: Tensor, size: int) -> Tensor:
    """Pixels of the face and hair that this edit should leave alone, by the measured labels ``[n, 1, size, size]``.

    A pixel's width around the target belongs to it; the background, which small generators do not draw, counts nowhere.
    """
    allowed = [REGIONS.index(name) for name in ("background", *target_regions([attribute]))]
    target = torch.stack([regions == index for index in allowed]).any(0).float()[:, None]
    return (F.adaptive_avg_pool2d(F.max_pool2d(target, 5, 1, 2), size) == 0).float()


def _save(path: Path, tensors: Mapping[str, Tensor], **facts: object) -> None:
    write_whole(path, save({k: v.contiguous() for k, v in tensors.items()}, {"facts": json.dumps(facts)}))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    with safe_open(path, framework="pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118


class Analysis:
    """The work of one table, and its figures.

    Args:
        table: which.
        options: the command's.
    """

    def __init__(self, table: Table, options: argparse.Namespace) -> None:
        self.table, self.options = table, options
        self.size = options.size or table.size
        self.batch = options.batch or table.batch
        self.held_out = labelled_faces(options.faces, "test")
        self.labels = load_labels(options.labels, self.held_out)
        self.known = self.labels.attributes(NAMES)
        self.models = me.load()
        self.truths = self._truths()
        self.judge = load_judge()
        self.networks = table.networks(options.narrower, self.size)
        self.edited = faces_to_edit(self.known, options.edits, options.count)
        self.photos = self.held_out.resized(self.models.generator.resolution)[self.edited].float() / 255
        self.fits: dict[str, Tensor] = {}
        bundled = sha256(WEIGHTS / "portraits.safetensors")
        self.inputs = {"bundled": bundled, "steps": options.edit_steps, "rows": self.edited.tolist()}

    def _truths(self) -> dict[str, tuple[Tensor, Tensor]]:
        """By name: the rows of the held-out faces that were labelled, and their labels."""
        everyone = torch.arange(len(self.held_out))
        if self.table.role == "parser":
            truths = {"measured": (everyone, self.labels.regions)}
            rows, maps = checked_regions(self.held_out, self.labels)
            return truths | ({"corrected by eye": (rows, maps)} if len(rows) else {})
        truths = {"measured": (everyone, self.known)}
        with suppress(me.InputError):  # other photos than the shared ones were not checked
            truths["checked by eye"] = (everyone, checked_attributes(self.held_out.names, NAMES))
        return truths

    def check(self) -> None:
        """Refuse a folder whose networks were trained in another way."""
        own = {name: getattr(self.options, name) for name in ("steps", "narrower", "seed")}
        own |= {"size": self.size, "batch": self.batch, "attributes": list(NAMES)}
        path = self.options.out / "settings.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(own))
        if (found := json.loads(path.read_text())) != own:
            raise me.InputError(f"{path.parent} holds another analysis", expected=str(own), actual=str(found))

    @cached_property
    def batches(self) -> Batch:
        """Made when it is first needed: no photo is read for networks that have had all their steps."""
        faces = labelled_faces(self.options.faces, "train", self.table.half)
        labels = load_labels(self.options.labels, faces)
        return self.table.batches(faces, labels, self.size, self.batch, self.options.seed)

    def work(self, name: str) -> None:
        """Train this network, ask it about the held-out faces, and edit with it, as far as that is not yet done."""
        folder = self.options.out / name
        torch.manual_seed(self.options.seed)
        net = self.networks[name]()
        net = learn(
            net, self.table, lambda i: self.batches(i), folder, self.options.steps, self.batch, self.options.seed
        )
        if not (folder / "held_out.safetensors").exists():
            photos = self.held_out.resized(SIZE).float() / 255
            facts = {
                "weights": weights(net, self.table.says, self.size),
                "milliseconds": milliseconds(net, self.table.asked, self.size),
            }
            _save(folder / "held_out.safetensors", {"told": examine(net, self.table, photos)}, **facts)
        models = replace(self.models, **{self.table.role: net})
        # A fit does not ask the classifier: one does for all of them.
        key = name if self.table.role == "parser" else "all"
        for attribute in self.options.edits:
            path = folder / f"{attribute}.safetensors"
            if path.exists() and _read(path)[1] == self.inputs:
                continue
            result = fit_and_edit(models, self.photos, attribute, tuple(self.options.edit_steps), self.fits, key)
            _save(path, {"image": result.image, "generated": result.generated, "rows": self.edited}, **self.inputs)

    def figures(self, told: Tensor) -> dict[str, Tensor]:
        """Balanced accuracy of each attribute, or overlap of each region, by what it is measured against."""
        if self.table.role == "classifier":
            return {name: balanced_accuracy(told[rows], true) for name, (rows, true) in self.truths.items()}
        return {
            name: intersection_over_union(told[rows], true, len(REGIONS)) for name, (rows, true) in self.truths.items()
        }

    def rows(self) -> list[list[str]]:
        """A row for each network whose training has ended."""
        what = "balanced accuracy" if self.table.role == "classifier" else "mean IoU"
        edits = ["judged as wanted", "dB outside, generated", "dB outside, blended"]
        heads = ["network", *(f"{what}, {truth}" for truth in self.truths), "weights", "ms a picture", *edits]
        found = [heads]
        for name, (told, facts) in self.told().items():
            means = [f"{shares.nanmean():.1%}" for shares in self.figures(told).values()]
            costs = [f"{facts['weights']:,}", f"{facts['milliseconds']:.2f}"]
            found.append([name, *means, *costs, *self._edit_cells(self.options.out / name)])
        return found

    def before(self) -> str:
        """A sentence on the photos themselves."""
        if not self.options.edits:
            return ""
        with torch.no_grad():
            share = (self.judge.classify(self.photos, self.options.edits) > 0).float().mean()
        return f" Of the photos themselves, {share:.0%} are judged as wanted."

    def parts(self, truth: str) -> list[list[str]]:
        """A row for each attribute or region, a column for each network whose training has ended."""
        columns = [["", *(NAMES if self.table.role == "classifier" else REGIONS)]]
        for name, (told, _) in self.told().items():
            columns.append([name, *(f"{share:.0%}" for share in self.figures(told)[truth])])
        return [list(line) for line in zip(*columns, strict=True)]

    def told(self) -> dict[str, tuple[Tensor, dict[str, float]]]:
        """By network: what it said of the held-out faces, and its weights and milliseconds."""
        paths = {name: self.options.out / name / "held_out.safetensors" for name in self.networks}
        found = {name: _read(path) for name, path in paths.items() if path.exists()}
        return {name: (tensors["told"], facts) for name, (tensors, facts) in found.items()}

    def _edit_cells(self, folder: Path) -> list[str]:
        edits = {a: _read(p)[0] for a in self.options.edits if (p := folder / f"{a}.safetensors").exists()}
        if not edits:
            return ["", "", ""]
        right, decibels = [], []
        for attribute, found in edits.items():
            size = found["image"].shape[-1]
            photos = self.held_out.resized(size)[found["rows"]].float() / 255
            outside = outside_of(attribute, self.labels.regions[found["rows"]], size)
            decibels.append([pooled_psnr(found[kind], photos, outside) for kind in ("generated", "image")])
            with torch.no_grad():
                right.append(self.judge.classify(found["image"].clamp(0, 1), [attribute])[:, 0] > 0)
        judged = f"{torch.cat(right).float().mean():.0%}"
        return [judged, *(f"{statistics.mean(kind):.1f}" for kind in zip(*decibels, strict=True))]


def _print_table(lines: Sequence[Sequence[str]]) -> None:
    for i, line in enumerate(lines):
        print("| " + " | ".join(line) + " |", flush=True)
        if i == 0:
            print("|---" * len(line) + "|", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--labels", type=Path, default=DATA, help="folder that maskedit.training.labels wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the networks' folders")
    parser.add_argument("--only", nargs="*", metavar="NETWORK", help="some of the networks")
    parser.add_argument("--steps", type=int, default=400, help="of each training")
    parser.add_argument("--batch", type=int, help="pictures a step (default: 32 for classifiers, 16 for parsers)")
    parser.add_argument("--size", type=int, help="side in pixels (default: 64 for classifiers, 96 for parsers)")
    parser.add_argument("--narrower", type=int, default=8, help="divides all channels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--edits", nargs="*", default=["black_hair", "smiling"], metavar="ATTRIBUTE", choices=NAMES)
    parser.add_argument("--count", type=int, default=12, help="held-out faces that are edited")
    parser.add_argument("--edit-steps", type=int, nargs=2, default=[100, 200], help="of fit and edit")
    parser.add_argument("--table", dest="print_only", action="store_true", help="do no work, print what there is")
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    me.keep_memory()
    analysis = Analysis(TABLES[options.table], options)
    analysis.check()
    for name in options.only or analysis.networks:
        if not options.print_only:
            analysis.work(name)
    _print_table(analysis.rows())
    for truth in analysis.truths:
        print(f"\nAgainst labels {truth}:\n")
        _print_table(analysis.parts(truth))
    print("\nEdits are judged by the bundled judge." + analysis.before())


if __name__ == "__main__":
    main()
