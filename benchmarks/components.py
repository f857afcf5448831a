"""The paper's component analysis in miniature: the classifiers of Table VII, the parsers of Table VIII.

``python -m benchmarks.components classifiers --faces FOLDER --labels LABELS --out RUN``, and ``parsers`` likewise. Each
network, all channels divided by ``--narrower``, sees the same pictures in the same order; then faces are edited with
it, everything else being the bundled models. Each has a folder with its training, what it says of the held-out faces,
and its edits; the table is made of these files alone. So the command goes on where it stopped, and ``--table`` prints
what there is.
"""

import argparse
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import maskedit as me
from maskedit.attributes import HAIR_COLOURS, REGIONS, target_regions
from maskedit.models.adapters import AttributeClassifier, SegmentationParser
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.fcn import FCN
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.unet import UNet
from maskedit.models.networks.vgg import VGG, VGG16, VGG19
from maskedit.models.weights.bundled import WEIGHTS
from maskedit.training.augment import degrade, recolour
from maskedit.training.checked import checked_attributes
from maskedit.training.checked_regions import checked_regions, overlap
from maskedit.training.classifier import balanced_accuracy, targets
from maskedit.training.classifier import varied as varied_faces
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.labels import MEASURED, SIZE, Labels, load_labels
from maskedit.training.loop import decayed, draws, set_rate, train
from maskedit.training.parser import IMPORTANCE, varied

NAMES = (*HAIR_COLOURS, *MEASURED)
"""The attributes that the classifiers learn: those with measured labels."""

VARIANTS = 16
"""How often each photo is moved, turned and dyed for the classifiers."""

Batch = Callable[[int], tuple[Tensor, Tensor]]
"""The pictures ``[b, 3, size, size]`` of a step, as bytes, and what is to be said of them."""

Says = Callable[[nn.Module, Tensor], Tensor]
"""What a network says of pictures in [0, 1]."""


def classifiers(narrower: int, size: int) -> Mapping[str, Callable[[], nn.Module]]:
    """The networks of Table VII; the VGGs with batch norm and without dropout, else so few steps teach them nothing.

    The tree has 64 channels where the others go up to 512 or 2048, so that an equal share of channels leaves it a
    small share of the weights: a second one has about as many as the ResNets.
    """
    width = 64 // narrower

    def from_pictures(network: Callable[..., nn.Module], **sizes: object) -> nn.Module:
        net = network(outputs=len(NAMES), **sizes)
        return AttributeClassifier(net, attributes=NAMES, size=size, mean=0.5, std=0.25)

    def vgg(stages: Sequence[Sequence[int]]) -> Callable[[], nn.Module]:
        narrow = [[channels // narrower for channels in stage] for stage in stages]
        return partial(from_pictures, VGG, stages=narrow, hidden=1024 // narrower, batch_norm=True, dropout=0.0)

    def resnet(blocks: Sequence[int], bottleneck: bool) -> Callable[[], nn.Module]:
        return partial(from_pictures, ResNet, blocks=blocks, bottleneck=bottleneck, width=width)

    return {
        "VGG16": vgg(VGG16),
        "VGG19": vgg(VGG19),
        "ResNet34": resnet((3, 4, 6, 3), False),
        "ResNet50": resnet((3, 4, 6, 3), True),
        "ResNet101": resnet((3, 4, 23, 3), True),
        "tree": partial(AttributeTree, width=width, hidden=128 // narrower, size=size),
        "tree, 4 x wider": partial(AttributeTree, width=4 * width, hidden=512 // narrower, size=size),
    }


def parsers(narrower: int, size: int) -> Mapping[str, Callable[[], nn.Module]]:
    """The networks of Table VIII."""
    classes = len(REGIONS)

    def trunk(blocks: Sequence[int] = (3, 4, 6, 3)) -> ResNet:
        return ResNet(blocks=blocks, width=64 // narrower, dilated=True)

    def from_pictures(network: Callable[[], nn.Module]) -> nn.Module:
        regions = {region: (region,) for region in REGIONS}
        return SegmentationParser(network(), labels=REGIONS, regions=regions, size=size, mean=0.5, std=0.25)

    networks: dict[str, Callable[[], nn.Module]] = {
        "UNet": lambda: UNet(classes=classes, width=64 // narrower),
        "FCN-ResNet50": lambda: FCN(backbone=trunk(), classes=classes),
        "FCN-ResNet101": lambda: FCN(backbone=trunk((3, 4, 23, 3)), classes=classes),
        "DeepLabV3": lambda: DeepLabV3(backbone=trunk(), classes=classes, hidden=256 // narrower),
    }
    return {name: partial(from_pictures, network) for name, network in networks.items()}


def attribute_batches(faces: Faces, labels: Labels, size: int, batch: int, seed: int) -> Batch:
    """Photos as ``maskedit.training.classifier`` varies them, hair and lips dyed in half of them, and what is true."""
    images, truths = varied_faces(faces, labels, NAMES, size, VARIANTS, seed)

    @cache
    def pictures(step: int) -> tuple[Tensor, Tensor]:
        random = draws(seed, step)
        rows = balanced(faces, 0.5, batch, random)
        rows = rows + len(faces) * torch.randint(VARIANTS, rows.shape, generator=random)
        photos = images[rows].float() / 255
        photos = torch.where(torch.rand(batch, 1, 1, 1, generator=random) < 0.5, photos.flip(3), photos)
        return _bytes(degrade(recolour(photos, random, 0.4), random, smallest=20)), truths[rows]

    return pictures


def region_batches(faces: Faces, labels: Labels, size: int, batch: int, seed: int) -> Batch:
    """Photos as ``maskedit.training.parser`` varies them, and the region of each pixel."""
    images = faces.resized(SIZE)

    @cache
    def pictures(step: int) -> tuple[Tensor, Tensor]:
        random = draws(seed, step)
        rows = balanced(faces, 0.5, batch, random)
        photos, _ = labels.dyed(images[rows].float() / 255, rows, 0.3, random)
        photos, wanted = varied(photos, labels.regions[rows], random, size)
        return _bytes(photos), wanted.argmax(1).byte()

    return pictures


def attribute_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy; present and absent count alike in each attribute, and what is not known counts nothing."""
    absent, present = ((wanted == value) / (wanted == value).sum(0).clamp(min=2) for value in (0, 1))
    smoothed = wanted.nan_to_num(0.5).clamp(0.03, 0.97)
    losses = F.binary_cross_entropy_with_logits(logits, smoothed, absent + present, reduction="none")
    return losses.sum(0).mean() / 2


def region_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy, small regions counting more."""
    return F.cross_entropy(logits, wanted.long(), torch.tensor(IMPORTANCE))


def regions_at(logits: Tensor, size: int) -> Tensor:
    """The region of each pixel ``[n, size, size]``."""
    return F.interpolate(logits, (size, size), mode="bilinear", align_corners=False).argmax(1).byte()


@dataclass(frozen=True)
class Table:
    """One of the two tables.

    Args:
        role: the field of :class:`maskedit.Models` that the networks fill.
        networks: (narrower, size) -> name -> maker.
        batches: (faces, labels, size, batch, seed) -> pictures of a step.
        says: (network, pictures in [0, 1]) -> logits of all attributes or regions.
        asked: what an edit asks at each step, to be timed.
        loss: (logits, what is to be said) -> number.
        told: logits -> what is kept of them.
        size: side of the pictures, in pixels.
        batch: pictures a step.
        half: the people that the networks learn from: not the judge's, for classifiers.
    """

    role: str
    networks: Callable[[int, int], Mapping[str, Callable[[], nn.Module]]]
    batches: Callable[[Faces, Labels, int, int, int], Batch]
    says: Says
    asked: Says
    loss: Callable[[Tensor, Tensor], Tensor]
    told: Callable[[Tensor], Tensor]
    size: int
    batch: int
    half: Literal["a"] | None = None


TABLES = {
    "classifiers": Table(
        role="classifier",
        networks=classifiers,
        batches=attribute_batches,
        says=lambda net, x: net.classify(x, NAMES),
        asked=lambda net, x: net.classify(x, ["smiling"]),
        loss=attribute_loss,
        told=lambda logits: logits,
        size=64,
        batch=32,
        half="a",
    ),
    "parsers": Table(
        role="parser",
        networks=parsers,
        batches=region_batches,
        says=lambda net, x: net.logits(x),
        asked=lambda net, x: net.parse(x, ["hair"]),
        loss=region_loss,
        told=lambda logits: regions_at(logits, SIZE),
        size=96,
        batch=16,
    ),
}


def learn(net: nn.Module, table: Table, batches: Batch, folder: Path, steps: int, batch: int, seed: int) -> nn.Module:
    """Train to the end, from the last checkpoint in the folder; frozen and in evaluation mode afterwards."""
    net.train().requires_grad_(True).to(memory_format=torch.channels_last)
    adam = torch.optim.AdamW(net.parameters(), weight_decay=0.02)

    def step(i: int) -> dict[str, Tensor]:
        photos, wanted = batches(i)
        torch.manual_seed(seed * 1_000_007 + i)  # dropout draws from the global generator
        set_rate(adam, decayed(2e-3, i, steps, final=0.6))
        with torch.autocast("cpu", torch.bfloat16):
            logits = table.says(net, (photos.float() / 255).to(memory_format=torch.channels_last))
        loss = table.loss(logits.float(), wanted)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        return {"loss": loss.detach()}

    train(step, {"net": net, "adam": adam}, steps=steps, out=folder, batch=batch, every=min(steps, 100))
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
    pictures = torch.rand(8, 3, size, size, generator=draws(0, 0)).requires_grad_()
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
    order = torch.randperm(len(absent), generator=draws(0, 0))
    return order[absent[order].argsort(descending=True, stable=True)][:count].sort().values


def pooled_psnr(pictures: Tensor, photos: Tensor, where: Tensor) -> float:
    """dB of the squared error over these pixels of all pictures together; single ones may be unchanged, at infinity."""
    error = (where * (pictures.clamp(0, 1) - photos).square()).sum() / (3 * where.sum())
    return float(-10 * error.clamp(min=1e-10).log10())


def outside_of(attribute: str, regions: Tensor, size: int) -> Tensor:
    """Pixels of the face and hair that this edit should leave alone, by the measured labels ``[n, 1, size, size]``.

    A pixel's width around the target belongs to it; the background, which small generators do not draw, counts nowhere.
    """
    allowed = [REGIONS.index(name) for name in ("background", *target_regions([attribute]))]
    target = torch.stack([regions == index for index in allowed]).any(0).float()[:, None]
    return (F.adaptive_avg_pool2d(F.max_pool2d(target, 5, 1, 2), size) == 0).float()


def _bytes(pictures: Tensor) -> Tensor:
    return (pictures * 255).round().byte()


def _save(path: Path, tensors: Mapping[str, Tensor], **facts: object) -> None:
    partial_path = path.with_suffix(".partial")
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial_path, {"facts": json.dumps(facts)})
    os.replace(partial_path, path)


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
        self.held_out = load_faces(options.faces, "test")
        self.labels = load_labels(options.labels, self.held_out)
        self.known = targets(self.labels, NAMES)
        self.models = me.load()
        self.truths = self._truths()
        self.judge, self.judged = _judge(self.models, table.role)
        self.networks = table.networks(options.narrower, self.size)
        self.edited = faces_to_edit(self.known, options.edits, options.count)
        self.photos = self.held_out.resized(self.models.generator.resolution)[self.edited].float() / 255
        self.fits: dict[str, Tensor] = {}
        bundled = hashlib.sha256((WEIGHTS / "portraits.safetensors").read_bytes()).hexdigest()
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
            path.write_text(json.dumps(own))
        if (found := json.loads(path.read_text())) != own:
            raise me.InputError(f"{path.parent} holds another analysis", expected=str(own), actual=str(found))

    @cached_property
    def batches(self) -> Batch:
        """Made when it is first needed: no photo is read for networks that have had all their steps."""
        faces = load_faces(self.options.faces, "train", self.table.half)
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
        return {name: overlap(told[rows], true) for name, (rows, true) in self.truths.items()}

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
        if self.judge is None or not self.options.edits:
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
            if self.judge is not None:
                with torch.no_grad():
                    right.append(self.judge.classify(found["image"].clamp(0, 1), [attribute])[:, 0] > 0)
        judged = f"{torch.cat(right).float().mean():.0%}" if right else ""
        return [judged, *(f"{statistics.mean(kind):.1f}" for kind in zip(*decibels, strict=True))]


def _judge(models: me.Models, role: str) -> tuple[me.Classifier | None, str]:
    """Who says whether an edit succeeded, never optimised against, and a sentence about it."""
    from maskedit.models.weights import bundled

    if hasattr(bundled, "load_judge"):
        return bundled.load_judge(), "Edits are judged by the bundled judge."
    if role == "classifier":
        return (
            models.classifier,
            "Edits are judged by the bundled classifier, which none of them was optimised against.",
        )
    return None, "Edits are not judged: they are optimised against the only classifier that is bundled."


def _print_table(lines: Sequence[Sequence[str]]) -> None:
    for i, line in enumerate(lines):
        print("| " + " | ".join(line) + " |", flush=True)
        if i == 0:
            print("|---" * len(line) + "|", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--labels", type=Path, required=True, help="folder that maskedit.training.labels wrote")
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
    print("\n" + analysis.judged + analysis.before())


if __name__ == "__main__":
    main()
