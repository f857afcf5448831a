"""Train the paper's classifier by its protocol: ``maskedit train classifier --preset paper``.

The tree of Vandenhende et al., whose layers are shared by ever fewer attributes; binary cross-entropy, weighted against
the imbalance of each attribute; stochastic gradients with Nesterov momentum, whose rate falls tenfold at a fixed step;
photos mirrored and moved by affine maps (Sec. IV-B of the paper).

It learns the attributes that are labelled: those of ``--labels`` by measurement, or those of ``--attributes FILE``, a
CSV with a column ``file`` and one for each attribute, 1 where it is there, 0 or -1 where not, empty where unknown.
"""

import argparse
import csv
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maskedit.attributes import HAIR_COLOURS
from maskedit.errors import InputError
from maskedit.models.networks.attribute_tree import ATTRIBUTES, AttributeTree
from maskedit.training.augment import crop, placement, uniform
from maskedit.training.classifier import balanced_accuracy, targets
from maskedit.training.faces import Faces, load_faces
from maskedit.training.labels import MEASURED, load_labels
from maskedit.training.loop import Kept, draws, follow, half_precision, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options


@dataclass(frozen=True, kw_only=True)
class TreeProtocol(Protocol):
    """The paper's numbers; the paper names no momentum and no ranges of the affine maps."""

    epochs: int = number(26, "times that each photo is seen")
    rate: float = number(0.05, "learning rate at first")
    later_rate: float = number(0.005, "learning rate later")
    later_from: int = number(40_000, "first step at the later rate, counted from 0")
    momentum: float = number(0.9, "Nesterov momentum")
    width: int = number(64, "channels of every convolution")
    hidden: int = number(128, "width of the linear layers")
    size: int = number(224, "side of the pictures that the network sees, a multiple of 32")
    degrees: float = number(10.0, "largest turn")
    shift: float = number(0.05, "largest shift, over the side")
    zoom: float = number(0.1, "largest change of the logarithm of the scale")


PRESETS = {"paper": TreeProtocol()}


def rate_at(protocol: TreeProtocol, step: int) -> float:
    """The learning rate of a step.

    >>> [rate_at(TreeProtocol(), step) for step in (0, 39_999, 40_000)]
    [0.05, 0.05, 0.005]
    """
    return protocol.rate if step < protocol.later_from else protocol.later_rate


def class_weights(wanted: Float[Tensor, "n attributes"]) -> Float[Tensor, "2 attributes"]:
    """What a photo without, and one with, each attribute counts: the n known over twice the number of such photos.

    So both count alike together, and one photo counts 1 on average. NaN is not known.
    """
    both = torch.stack([(wanted == value).sum(0) for value in (0, 1)]).float()
    return both.sum(0) / (2 * both.clamp(min=1))


def weighted_cross_entropy(
    logits: Float[Tensor, "b attributes"],
    wanted: Float[Tensor, "b attributes"],
    weights: Float[Tensor, "2 attributes"],
) -> Float[Tensor, ""]:
    """Binary cross-entropy, each photo and attribute weighed by its class; averaged over what is known."""
    weight = torch.where(wanted > 0.5, weights[1], weights[0]) * wanted.isfinite()
    losses = F.binary_cross_entropy_with_logits(logits, wanted.nan_to_num(0.0), weight, reduction="none")
    return losses.sum() / wanted.isfinite().sum().clamp(min=1)


def rows_of(step: int, count: int, batch: int, seed: int) -> Int64[Tensor, " batch"]:
    """The photos of a step: each epoch goes through all in an order of its own, and leaves out an incomplete batch."""
    epoch, place = divmod(step, count // batch)
    order = torch.randperm(count, generator=draws(seed, -1 - epoch))
    return order[place * batch : (place + 1) * batch]


def moved(
    images: UInt8[Tensor, "b 3 h w"], protocol: TreeProtocol, random: torch.Generator
) -> Float[Tensor, "b 3 h w"]:
    """Photos in [0, 1], mirrored and moved by affine maps."""
    b = len(images)
    place = placement(
        0.5 + uniform(-protocol.shift, protocol.shift, b, 2, random=random),
        uniform(-protocol.zoom, protocol.zoom, b, random=random).exp(),
        uniform(-protocol.degrees, protocol.degrees, b, random=random),
        (torch.rand(b, generator=random) < 0.5).float(),
    )
    return crop(images.float() / 255, place, images.shape[-1])


def read_attributes(path: Path, faces: Faces) -> tuple[tuple[str, ...], Float[Tensor, "n attributes"]]:
    """Names and labels (1, 0, NaN) of the attributes in a CSV file.

    Raises:
        InputError: if the file is missing, lacks a photo or the column ``file``, or has an attribute that the tree has
            not.
    """
    if not path.exists():
        raise InputError(f"there is no file {path}", expected="a CSV with a column file and one for each attribute")
    with path.open(newline="") as file:
        table = {row.get("file", ""): row for row in csv.DictReader(file)}
    columns = [name for name in next(iter(table.values()), {}) if name != "file"]
    if "" in table or not columns:
        raise InputError(f"{path} names no photos", expected="a column file and one for each attribute")
    if unknown := [name for name in columns if name not in ATTRIBUTES]:
        raise InputError(f"the tree has no {unknown[0]!r}", expected=", ".join(ATTRIBUTES), actual=", ".join(columns))
    if missing := [name for name in faces.names if name not in table]:
        raise InputError(f"{path} lacks {len(missing)} of the photos", actual=f"no row for {missing[0]}")
    kinds = {"1": 1.0, "0": 0.0, "-1": 0.0, "": torch.nan}
    values = [[table[photo][name].strip() for name in columns] for photo in faces.names]
    if odd := {value for row in values for value in row} - kinds.keys():
        raise InputError(f"{path} has a label that is none", expected="1, 0, -1 or nothing", actual=min(odd))
    return tuple(columns), torch.tensor([[kinds[value] for value in row] for row in values])


def known_attributes(options: argparse.Namespace, faces: Faces) -> tuple[tuple[str, ...], Float[Tensor, "n a"]]:
    """Names and labels of the attributes that a command line gives."""
    if options.attributes:
        return read_attributes(options.attributes, faces)
    if not options.labels:
        raise InputError("the classifier needs to know the photos' attributes", expected="--labels or --attributes")
    names = tuple(name for name in ATTRIBUTES if name in HAIR_COLOURS or name in MEASURED)
    return names, targets(load_labels(options.labels, faces), names)


@torch.no_grad()
def told(net: AttributeTree, images: UInt8[Tensor, "n 3 h w"], names: Sequence[str]) -> Float[Tensor, "n attributes"]:
    """Logits for photos."""
    net.eval()
    device = net.celeba_mean.device
    return torch.cat([net.classify(part.to(device).float() / 255, names).cpu() for part in images.split(32)])


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--labels", type=Path, help="folder: regions.npz, measures.csv")
        parser.add_argument("--attributes", type=Path, help="CSV of attributes, instead of measured labels")

    protocol, options = read_options(__doc__, PRESETS, arguments, labels=False, more=more)
    device = options.device
    torch.manual_seed(protocol.seed)
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    (names, known), (_, held_out_known) = known_attributes(options, faces), known_attributes(options, held_out)
    if len(faces) < protocol.batch:
        raise InputError(
            "there are fewer photos than one batch has", expected=f"{protocol.batch}", actual=f"{len(faces)}"
        )
    net = AttributeTree(width=protocol.width, hidden=protocol.hidden, size=protocol.size)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    side = min(2 * net.size, faces.images.shape[-1])  # the network brings them to its own size by area
    images, held_out_images = faces.resized(side), held_out.resized(side)
    weights = class_weights(known).to(device)
    sgd = torch.optim.SGD(net.parameters(), protocol.rate, momentum=protocol.momentum, nesterov=True)

    def step(i: int) -> dict[str, Tensor | float]:
        set_rate(sgd, rate_at(protocol, i))
        rows = rows_of(i, len(faces), protocol.batch, protocol.seed)
        photos = moved(images[rows], protocol, draws(protocol.seed, i))
        net.train()
        with half_precision(device):
            logits = net.classify(photos.to(device, memory_format=torch.channels_last), names)
        loss = weighted_cross_entropy(logits.float(), known[rows].to(device), weights)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        follow(average, net, protocol.average, i)
        return {"loss": loss.detach(), "rate": rate_at(protocol, i)}

    def report(done: int) -> None:
        shares = balanced_accuracy(told(average, held_out_images, names), held_out_known)
        line = " ".join(f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True))
        print(f"balanced accuracy after {done}: {shares.nanmean():.3f}; {line}", flush=True)

    kept: Kept = {"net": net, "average": average, "sgd": sgd}
    steps = protocol.epochs * (len(faces) // protocol.batch)
    train(step, kept, steps=steps, out=options.out, batch=protocol.batch, report=report, every=options.every)


if __name__ == "__main__":
    main()
