"""Train the paper's classifier by its protocol: ``maskedit train classifier --preset paper``.

The tree of Vandenhende et al., whose layers are shared by ever fewer attributes; binary cross-entropy, weighted against
the imbalance of each attribute; stochastic gradients with Nesterov momentum, whose rate falls tenfold at a fixed step;
photos mirrored and moved by affine maps (Sec. IV-B of the paper).

It learns the attributes that are labelled: those of ``--labels`` by measurement, or those of ``--attributes FILE``, a
CSV with a column ``file`` and one for each attribute, 1 where it is there, 0 or -1 where not, empty where unknown.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from maskedit.attributes import HAIR_COLOURS
from maskedit.errors import InputError
from maskedit.models.networks.attribute_tree import ATTRIBUTES, AttributeTree
from maskedit.training.augment import random_affine, warp_affine
from maskedit.training.classifier import balanced_accuracy
from maskedit.training.faces import Faces, load_faces
from maskedit.training.given_attributes import read_attributes
from maskedit.training.labels import load_labels
from maskedit.training.loop import Training, half_precision, step_rng, train
from maskedit.training.measured_attributes import MEASURED
from maskedit.training.options import Hyperparameters, number, read_options


@dataclass(frozen=True, kw_only=True)
class TreeHyperparameters(Hyperparameters):
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


PRESETS = {"paper": TreeHyperparameters()}


def rate_at(hyper: TreeHyperparameters, step: int) -> float:
    """The learning rate of a step.

    >>> [rate_at(TreeHyperparameters(), step) for step in (0, 39_999, 40_000)]
    [0.05, 0.05, 0.005]
    """
    return hyper.rate if step < hyper.later_from else hyper.later_rate


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
    order = torch.randperm(count, generator=step_rng(seed, -1 - epoch))
    return order[place * batch : (place + 1) * batch]


def moved(
    images: UInt8[Tensor, "b 3 h w"], hyper: TreeHyperparameters, rng: torch.Generator
) -> Float[Tensor, "b 3 h w"]:
    """Photos in [0, 1], mirrored and moved by affine maps."""
    place = random_affine(len(images), rng, shift=hyper.shift, zoom=(-hyper.zoom, hyper.zoom), degrees=hyper.degrees)
    return warp_affine(images.float() / 255, place, images.shape[-1])


def known_attributes(options: argparse.Namespace, faces: Faces) -> tuple[tuple[str, ...], Float[Tensor, "n a"]]:
    """Names and labels of the attributes that a command line gives."""
    if options.attributes:
        table = read_attributes(options.attributes, known=ATTRIBUTES)
        return table.attributes, table.of(faces.names)
    if not options.labels:
        raise InputError("the classifier needs to know the photos' attributes", expected="--labels or --attributes")
    names = tuple(name for name in ATTRIBUTES if name in HAIR_COLOURS or name in MEASURED)
    return names, load_labels(options.labels, faces).attributes(names)


@torch.no_grad()
def logits_of(
    net: AttributeTree, images: UInt8[Tensor, "n 3 h w"], names: Sequence[str]
) -> Float[Tensor, "n attributes"]:
    """Logits for photos."""
    net.eval()
    device = net.celeba_mean.device
    return torch.cat([net.classify(part.to(device).float() / 255, names).cpu() for part in images.split(32)])


def training(hyper: TreeHyperparameters, options: argparse.Namespace) -> Training:
    """Network, data, loss, optimiser, and what is reported."""
    torch.manual_seed(hyper.seed)
    net = AttributeTree(width=hyper.width, hidden=hyper.hidden, size=hyper.size)

    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    (names, known), (_, held_out_known) = known_attributes(options, faces), known_attributes(options, held_out)
    if len(faces) < hyper.batch:
        raise InputError("there are fewer photos than one batch has", expected=f"{hyper.batch}", actual=f"{len(faces)}")
    side = min(2 * net.size, faces.images.shape[-1])  # the network brings them to its own size by area
    images, held_out_images = faces.resized(side), held_out.resized(side)
    weights = class_weights(known).to(options.device)

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        rows = rows_of(i, len(faces), hyper.batch, hyper.seed)
        photos = moved(images[rows], hyper, rng).to(options.device, memory_format=torch.channels_last)
        with half_precision(options.device):
            logits = net.classify(photos, names)
        loss = weighted_cross_entropy(logits.float(), known[rows].to(options.device), weights)
        return {"loss": loss, "rate": torch.tensor(rate_at(hyper, i), dtype=torch.float64)}

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, AttributeTree)
        shares = balanced_accuracy(logits_of(ema, held_out_images, names), held_out_known)
        line = " ".join(f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True))
        print(f"balanced accuracy after {done}: {shares.nanmean():.3f}; {line}", flush=True)

    return Training(
        network=net,
        optimizer=torch.optim.SGD(net.parameters(), hyper.rate, momentum=hyper.momentum, nesterov=True),
        rate=lambda i: rate_at(hyper, i) / hyper.rate,
        clip=None,
        loss=loss,
        steps=hyper.epochs * (len(faces) // hyper.batch),
        report=report,
    )


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--labels", type=Path, help="folder: regions.npz, measures.csv")
        parser.add_argument("--attributes", type=Path, help="CSV of attributes, instead of measured labels")

    hyper, options = read_options(__doc__, PRESETS, arguments, labels=False, more=more)
    train(training(hyper, options), hyper, out=options.out, every=options.every, device=options.device)


if __name__ == "__main__":
    main()
