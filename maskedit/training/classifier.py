"""Train the attribute classifier: ``maskedit train classifier --faces FOLDER --labels LABELS --out RUN``.

Hair and lips are dyed as well, and labelled by what they were dyed: so the logits follow the colour of hair and lips
and not what usually goes with it. The classifier learns from one half of the people, the judge from the other.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from maskedit.attributes import HAIR_COLOURS, HAIR_SHAPES
from maskedit.models.networks.portraits import PortraitClassifier, PortraitJudge
from maskedit.training.augment import crop, degrade, placement, recolour, uniform
from maskedit.training.colour import dye
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.labels import (
    MEASURED,
    MEASURES,
    SIZE,
    Labels,
    ends,
    hair_ends,
    inside,
    load_labels,
)
from maskedit.training.loop import Kept, decayed, draws, follow, half_precision, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options
from maskedit.training.seen import seen_over

LIP_RED = MEASURES.index("lip_red")
SKIN = MEASURES.index("skin_L"), MEASURES.index("skin_b")
"""Pale skin is light and not yellow."""


def targets(labels: Labels, names: Sequence[str]) -> Float[Tensor, "n attributes"]:
    """1, 0 or NaN (not known) for each photo and attribute."""
    hair = torch.where(labels.dyeable[:, None], hair_ends(labels.hair), torch.nan)
    columns = dict(zip(HAIR_COLOURS, hair.unbind(1), strict=True))
    for name, (measure, absent, present) in MEASURED.items():
        columns[name] = ends(labels.measures[:, MEASURES.index(measure)], absent, present)
    for name in HAIR_SHAPES:
        columns[name] = torch.where(labels.dyeable, columns[name], torch.nan)
    columns["pale_skin"] = ends(labels.measures[:, SKIN[0]] - labels.measures[:, SKIN[1]], 50.0, 57.0)
    columns["young"] = torch.full_like(columns["pale_skin"], torch.nan)  # no measurement tells
    return torch.stack([columns[name] for name in names], 1)


def lips_of(landmarks: Float[Tensor, "n 68 2"], size: int) -> Bool[Tensor, "n 1 size size"]:
    """The lips without what is between them."""
    return torch.stack([inside(p[48:60], size) & ~inside(p[60:68], size) for p in landmarks])[:, None]


def dye_lips(
    photos: Float[Tensor, "b 3 h w"],
    lips: Bool[Tensor, "b 1 h w"],
    measures: Float[Tensor, "b measures"],
    share: float,
    random: torch.Generator,
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, " b"]]:
    """A ``share`` of the pictures with lips redder or paler than they were; how red they are over the skin then."""
    b = len(photos)
    chosen = torch.rand(b, generator=random) < share
    red = torch.where(chosen, uniform(0.0, 26.0, b, random=random), measures[:, LIP_RED])
    more = red - measures[:, LIP_RED]
    before = measures[:, 3:6] + F.pad(measures[:, LIP_RED, None], (1, 1))
    after = before + torch.stack([-0.4 * more, more, 0.2 * more * uniform(-1.0, 1.0, b, random=random)], 1)
    soft = F.avg_pool2d(lips.float(), 3, 1, 1)
    return torch.where(chosen[:, None, None, None], dye(photos, soft, before, after), photos), red


def balanced_accuracy(logits: Float[Tensor, "n a"], wanted: Float[Tensor, "n a"]) -> Float[Tensor, " a"]:
    """Mean of the shares of present and of absent attributes that were told right; photos without a label left out."""
    right = [((logits > 0) == (wanted > 0.5)) & (wanted == value) for value in (0, 1)]
    return torch.stack([r.sum(0) / (wanted == v).sum(0) for v, r in enumerate(right)]).mean(0)


def misled(
    photos: Float[Tensor, "b 3 h w"], loss: Callable[[Tensor], Float[Tensor, ""]], length: float
) -> Float[Tensor, "b 3 h w"]:
    """The pictures moved by ``length`` in L2 up the loss's gradient: what a classifier must not be misled by.

    A classifier that has learned such pictures has gradients that look like what they are of, so an edit that
    follows them shows.
    """
    start = photos.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(start), start)
    size = slope.flatten(1).norm(dim=1).clamp(min=1e-12)
    return (photos + length / size[:, None, None, None] * slope).detach()


@torch.no_grad()
def logits_of(net: PortraitClassifier | PortraitJudge, faces: Faces) -> Float[Tensor, "n attributes"]:
    net.eval()
    return torch.cat([net.classify(part.float() / 255, net.attributes) for part in faces.resized(SIZE).split(64)])


def known_of(faces: Faces, labels: Labels, names: Sequence[str]) -> Float[Tensor, "n a"]:
    """What is known of photos to train on: what was measured, and what was seen in its place."""
    return seen_over(targets(labels, names), faces.names, names)


@torch.no_grad()
def varied(
    faces: Faces, labels: Labels, names: Sequence[str], size: int, times: int, seed: int
) -> tuple[UInt8[Tensor, "n 3 size size"], Float[Tensor, "n a"]]:
    """All photos ``times`` over, moved, turned and many of them dyed, with what is then true of them."""
    images, lips = faces.resized(SIZE), lips_of(faces.landmarks, SIZE)
    known = known_of(faces, labels, names)
    hair = [(i, HAIR_COLOURS.index(name)) for i, name in enumerate(names) if name in HAIR_COLOURS]
    made, truths = [], []
    for i, rows in enumerate(torch.arange(len(faces)).repeat(times).split(64)):
        random = draws(seed, -1 - i)
        truth = known[rows].clone()
        photos, colour = labels.dyed(images[rows].float() / 255, rows, 0.5, random)
        photos, red = dye_lips(photos, lips[rows], labels.measures[rows], 0.5, random)
        kinds, dyed = hair_ends(colour), (colour != labels.hair[rows]).any(1)
        for column, kind in hair:
            truth[:, column] = torch.where(dyed, kinds[:, kind], truth[:, column])
        if "wearing_lipstick" in names:
            column, dyed = names.index("wearing_lipstick"), red != labels.measures[rows, LIP_RED]
            truth[:, column] = torch.where(dyed, ends(red, *MEASURED["wearing_lipstick"][1:]), truth[:, column])
        place = placement(
            0.5 + uniform(-0.03, 0.03, len(rows), 2, random=random),
            uniform(-0.1, 0.08, len(rows), random=random).exp(),
            uniform(-6.0, 6.0, len(rows), random=random),
            torch.zeros(len(rows)),
        )
        made.append(F.avg_pool2d(crop(photos, place, 2 * size), 2).mul(255).round().byte())
        truths.append(truth)
    return torch.cat(made), torch.cat(truths)


@dataclass(frozen=True, kw_only=True)
class TeachingProtocol(Protocol):
    """The numbers of this training."""

    steps: int = number(2000, "steps in all")
    variants: int = number(16, "pictures made of each photo: moved, turned, dyed")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the last three fifths")
    attack: float = number(0.0, "how far each picture is moved against its labels before it is learned, in L2")


PRESETS = {"bundled": TeachingProtocol(attack=0.5)}


def teach(
    net: PortraitClassifier | PortraitJudge,
    half: Literal["a", "b"],
    description: str | None,
    presets: Mapping[str, TeachingProtocol],
    arguments: list[str] | None,
) -> None:
    """Train a classifier on its half of the photos, by the command line's arguments."""
    protocol, options = read_options(description, presets, arguments)
    torch.manual_seed(protocol.seed)
    device, names = options.device, net.attributes
    faces, held_out = load_faces(options.faces, "train", half), load_faces(options.faces, "test")
    labels, held_out_labels = load_labels(options.labels, faces), load_labels(options.labels, held_out)
    pictures, truths = varied(faces, labels, names, net.size, protocol.variants, protocol.seed)
    held_out_known = targets(held_out_labels, names)
    # So small a move would take the lipstick off, and leave nothing to tell it by.
    attacked = torch.tensor([name != "wearing_lipstick" for name in names])
    net.apply(_drawn_anew)  # the seed's weights, not those that the caller happened to draw
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    adam = torch.optim.AdamW(net.parameters(), weight_decay=0.02)

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        torch.manual_seed(protocol.seed * 1_000_007 + i)  # dropout draws from the global generator
        set_rate(adam, decayed(protocol.rate, i, protocol.steps, final=0.6))
        rows = balanced(faces, 0.5, protocol.batch, random)
        rows = rows + len(faces) * torch.randint(protocol.variants, rows.shape, generator=random)
        photos, wanted = pictures[rows].float() / 255, truths[rows].to(device)
        mirrored = torch.rand(len(rows), 1, 1, 1, generator=random) < 0.5
        photos = degrade(recolour(torch.where(mirrored, photos.flip(3), photos), random, 0.4), random, smallest=20)
        net.train()
        photos = photos.to(device, memory_format=torch.channels_last)
        # Present and absent count alike in each attribute, whatever their numbers; unknown counts nothing.
        smoothed = wanted.nan_to_num(0.5).clamp(0.03, 0.97)
        absent, present = ((wanted == value) / (wanted == value).sum(0).clamp(min=2) for value in (0, 1))

        def losses(shown: Tensor) -> Tensor:
            with half_precision(device):
                logits = net.classify(shown, names)
            return F.binary_cross_entropy_with_logits(logits.float(), smoothed, absent + present, reduction="none")

        if protocol.attack > 0:
            some = (attacked & (torch.rand(wanted.shape, generator=random) < 0.25)).to(device)
            photos = misled(photos, lambda shown: (some * losses(shown)).sum(), protocol.attack)
        loss = losses(photos).sum(0).mean() / 2
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, protocol.average, i)
        return {"loss": loss.detach()}

    def report(done: int) -> None:
        shares = balanced_accuracy(logits_of(average, held_out), held_out_known)
        told = " ".join(f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True))
        print(f"balanced accuracy after {done}: {shares.nanmean():.3f}; {told}", flush=True)

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=protocol.steps, out=options.out, batch=protocol.batch, report=report, every=options.every)


def _drawn_anew(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
        module.reset_parameters()


def main(arguments: list[str] | None = None) -> None:
    teach(PortraitClassifier(), "a", __doc__, PRESETS, arguments)


if __name__ == "__main__":
    main()
