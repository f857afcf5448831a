"""Train the attribute classifier: ``maskedit train classifier --faces FOLDER --labels LABELS --out RUN``.

Hair and lips are dyed as well, and labelled by what they were dyed: so the logits follow the colour of hair and lips
and not what usually goes with it. The classifier learns from one half of the people, the judge from the other. With
``--seen FILE`` labels that were given by eye stand in for the measured ones.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from maskedit.attributes import HAIR_COLOURS
from maskedit.models.networks.portraits import PortraitClassifier, PortraitJudge
from maskedit.training.augment import degrade, random_affine, recolour, uniform, warp_affine
from maskedit.training.colour import dye
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.given_attributes import GivenAttributes, read_attributes
from maskedit.training.labels import SIZE, Labels, load_labels
from maskedit.training.loop import Training, half_precision, linear_decay, step_rng, train
from maskedit.training.measured_attributes import MEASURED, MEASURES, ends, hair_ends
from maskedit.training.options import Hyperparameters, number, read_options
from maskedit.training.polygons import inside

LIP_RED = MEASURES.index("lip_red")


def lips_of(landmarks: Float[Tensor, "n 68 2"], size: int) -> Bool[Tensor, "n 1 size size"]:
    """The lips without what is between them."""
    return torch.stack([inside(p[48:60], size) & ~inside(p[60:68], size) for p in landmarks])[:, None]


def dye_lips(
    photos: Float[Tensor, "b 3 h w"],
    lips: Bool[Tensor, "b 1 h w"],
    measures: Float[Tensor, "b measures"],
    share: float,
    rng: torch.Generator,
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, " b"]]:
    """A ``share`` of the pictures with lips redder or paler than they were; how red they are over the skin then."""
    b = len(photos)
    chosen = torch.rand(b, generator=rng) < share
    red = torch.where(chosen, uniform(0.0, 26.0, b, rng=rng), measures[:, LIP_RED])
    more = red - measures[:, LIP_RED]
    before = measures[:, 3:6] + F.pad(measures[:, LIP_RED, None], (1, 1))
    after = before + torch.stack([-0.4 * more, more, 0.2 * more * uniform(-1.0, 1.0, b, rng=rng)], 1)
    soft = F.avg_pool2d(lips.float(), 3, 1, 1)
    return torch.where(chosen[:, None, None, None], dye(photos, soft, before, after), photos), red


def balanced_accuracy(logits: Float[Tensor, "n a"], wanted: Float[Tensor, "n a"]) -> Float[Tensor, " a"]:
    """Mean of the shares of present and of absent attributes that were told right; photos without a label left out."""
    right = [((logits > 0) == (wanted > 0.5)) & (wanted == value) for value in (0, 1)]
    return torch.stack([r.sum(0) / (wanted == v).sum(0) for v, r in enumerate(right)]).mean(0)


def adversarial_examples(
    photos: Float[Tensor, "b 3 h w"], loss: Callable[[Tensor], Float[Tensor, ""]], length: float
) -> Float[Tensor, "b 3 h w"]:
    """The pictures moved by ``length`` in L2 up the loss's gradient (Goodfellow et al. 2015, in L2).

    A classifier that has learned such pictures has gradients that look like what they are of, so an edit that
    follows them shows.
    """
    start = photos.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(start), start)
    size = slope.flatten(1).norm(dim=1).clamp(min=1e-12)
    return (photos + length / rearrange(size, "b -> b 1 1 1") * slope).detach()


@torch.no_grad()
def logits_of(net: PortraitClassifier | PortraitJudge, faces: Faces) -> Float[Tensor, "n attributes"]:
    net.eval()
    return torch.cat([net.classify(part.float() / 255, net.attributes) for part in faces.resized(SIZE).split(64)])


def known_of(
    faces: Faces, labels: Labels, names: Sequence[str], seen: GivenAttributes | None = None
) -> Float[Tensor, "n a"]:
    """What is known of photos to train on: what was measured, and what was seen in its place."""
    measured = labels.attributes(names)
    return measured if seen is None else seen.over(measured, faces.names, names)


@torch.no_grad()
def dyed_variants(
    faces: Faces, labels: Labels, known: Float[Tensor, "n a"], names: Sequence[str], size: int, times: int, seed: int
) -> tuple[UInt8[Tensor, "m 3 size size"], Float[Tensor, "m a"]]:
    """All photos ``times`` over, moved, turned and many of them dyed, with what is then true of them.

    Args:
        faces: the photos.
        labels: what was measured of them.
        known: their attributes: 1, 0, or NaN where it is not known.
        names: the attributes.
        size: side of the pictures made.
        times: how many of each photo.
        seed: of the random numbers.
    """
    images, lips = faces.resized(SIZE), lips_of(faces.landmarks, SIZE)
    hair = [(i, HAIR_COLOURS.index(name)) for i, name in enumerate(names) if name in HAIR_COLOURS]
    made, truths = [], []
    for i, rows in enumerate(torch.arange(len(faces)).repeat(times).split(64)):
        rng = step_rng(seed, -1 - i)
        truth = known[rows].clone()
        photos, colour = labels.dyed(images[rows].float() / 255, rows, 0.5, rng)
        photos, red = dye_lips(photos, lips[rows], labels.measures[rows], 0.5, rng)
        kinds, dyed = hair_ends(colour), (colour != labels.hair[rows]).any(1)
        for column, kind in hair:
            truth[:, column] = torch.where(dyed, kinds[:, kind], truth[:, column])
        if "wearing_lipstick" in names:
            column, dyed = names.index("wearing_lipstick"), red != labels.measures[rows, LIP_RED]
            truth[:, column] = torch.where(dyed, ends(red, *MEASURED["wearing_lipstick"][1:]), truth[:, column])
        place = random_affine(len(rows), rng, shift=0.03, zoom=(-0.1, 0.08), degrees=6.0, mirror=False)
        made.append(F.avg_pool2d(warp_affine(photos, place, 2 * size), 2).mul(255).round().byte())
        truths.append(truth)
    return torch.cat(made), torch.cat(truths)


@dataclass(frozen=True, kw_only=True)
class ClassifierHyperparameters(Hyperparameters):
    """The numbers of this training."""

    steps: int = number(2000, "steps in all")
    variants: int = number(16, "pictures made of each photo: moved, turned, dyed")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the last three fifths")
    attack: float = number(0.0, "how far each picture is moved against its labels before it is learned, in L2")


PRESETS = {"bundled": ClassifierHyperparameters(attack=0.5)}


def training(
    net: PortraitClassifier | PortraitJudge,
    half: Literal["a", "b"],
    hyper: ClassifierHyperparameters,
    options: argparse.Namespace,
) -> Training:
    """Network, data, loss, optimiser, and what is reported, of a classifier and its half of the people."""
    torch.manual_seed(hyper.seed)
    net.apply(_drawn_anew)  # the seed's weights, not those that the caller happened to draw
    names = net.attributes

    faces, held_out = load_faces(options.faces, "train", half), load_faces(options.faces, "test")
    labels, held_out_known = load_labels(options.labels, faces), load_labels(options.labels, held_out).attributes(names)
    known = known_of(faces, labels, names, read_attributes(options.seen) if options.seen else None)
    pictures, truths = dyed_variants(faces, labels, known, names, net.size, hyper.variants, hyper.seed)
    # So small a move would take the lipstick off, and leave nothing to tell it by.
    attacked = torch.tensor([name != "wearing_lipstick" for name in names])

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        rows = balanced(faces, 0.5, hyper.batch, rng)
        rows = rows + len(faces) * torch.randint(hyper.variants, rows.shape, generator=rng)
        photos, wanted = pictures[rows].float() / 255, truths[rows].to(options.device)
        mirrored = torch.rand(len(rows), 1, 1, 1, generator=rng) < 0.5
        photos = degrade(recolour(torch.where(mirrored, photos.flip(3), photos), rng, 0.4), rng, smallest=20)
        photos = photos.to(options.device, memory_format=torch.channels_last)
        # Present and absent count alike in each attribute, whatever their numbers; unknown counts nothing.
        smoothed = wanted.nan_to_num(0.5).clamp(0.03, 0.97)
        absent, present = ((wanted == value) / (wanted == value).sum(0).clamp(min=2) for value in (0, 1))

        def losses(shown: Tensor) -> Tensor:
            with half_precision(options.device):
                logits = net.classify(shown, names)
            return F.binary_cross_entropy_with_logits(logits.float(), smoothed, absent + present, reduction="none")

        if hyper.attack > 0:
            some = (attacked & (torch.rand(wanted.shape, generator=rng) < 0.25)).to(options.device)
            photos = adversarial_examples(photos, lambda shown: (some * losses(shown)).sum(), hyper.attack)
        return {"loss": losses(photos).sum(0).mean() / 2}

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, PortraitClassifier | PortraitJudge)
        shares = balanced_accuracy(logits_of(ema, held_out), held_out_known)
        told = " ".join(f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True))
        print(f"balanced accuracy after {done}: {shares.nanmean():.3f}; {told}", flush=True)

    return Training(
        network=net,
        optimizer=torch.optim.AdamW(net.parameters(), hyper.rate, weight_decay=0.02),
        rate=lambda i: linear_decay(i, hyper.steps, final=0.6),
        loss=loss,
        steps=hyper.steps,
        report=report,
    )


def _drawn_anew(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
        module.reset_parameters()


def classifier_options(
    about: str | None, presets: Mapping[str, ClassifierHyperparameters], arguments: list[str] | None
) -> tuple[ClassifierHyperparameters, argparse.Namespace]:
    """What the command line of a classifier asks for."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--seen", type=Path, help="CSV of attributes given by eye, in place of measured ones")

    return read_options(about, presets, arguments, more=more)


def main(arguments: list[str] | None = None) -> None:
    hyper, options = classifier_options(__doc__, PRESETS, arguments)
    what = training(PortraitClassifier(), "a", hyper, options)
    train(what, hyper, out=options.out, every=options.every, device=options.device)


if __name__ == "__main__":
    main()
