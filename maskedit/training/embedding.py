"""Train the embedding: ``maskedit train embedding --faces FOLDER --labels LABELS --out RUN``.

Two views of one photo are one, those of other photos are others (InfoNCE). The views differ in place, size, light and
colour, by the mirror, and half of them have another photo's background and clothes: what is left to tell photos apart
by is who is seen, and how. Sharpness stays as it is, so that soft pictures stay apart from sharp ones. ``--pack FILE``
writes the weights as they are bundled.
"""

import argparse
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from maskedit.models.networks.embedding import FaceEmbedding
from maskedit.models.weights.bundled import write
from maskedit.training.augment import crop, placement, recolour, region_mask, uniform
from maskedit.training.faces import load_faces
from maskedit.training.labels import SIZE, load_labels
from maskedit.training.loop import Kept, decayed, draws, follow, half_precision, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options

TEMPERATURE = 0.1


def views(
    images: UInt8[Tensor, "b 3 h w"], around: Float[Tensor, "b 1 h w"], size: int, random: torch.Generator
) -> Float[Tensor, "b 3 size size"]:
    """One view of each photo; half of them have the next photo's pixels where ``around`` is 1 in both."""
    b = len(images)
    photos = images.float() / 255
    chosen = torch.rand(b, 1, 1, 1, generator=random) < 0.5
    photos = photos.lerp(photos.roll(1, 0), around * around.roll(1, 0) * chosen)
    place = placement(
        0.5 + uniform(-0.04, 0.04, b, 2, random=random),
        uniform(-0.12, 0.08, b, random=random).exp(),
        uniform(-8.0, 8.0, b, random=random),
        (torch.rand(b, generator=random) < 0.5).float(),
    )
    small = F.avg_pool2d(crop(photos, place, 2 * size), 2)
    return recolour(small, random, 0.7)


def surroundings(regions: UInt8[Tensor, "n h w"]) -> Float[Tensor, "n 1 h w"]:
    """Background and what is below the face, with a soft edge."""
    return region_mask(regions, ["background", "below_face"])


def contrast(first: Float[Tensor, "b dim"], second: Float[Tensor, "b dim"]) -> Float[Tensor, ""]:
    """InfoNCE: how hard it is to find each view's other view among those of all photos, in nats."""
    both = F.normalize(torch.cat([first, second]))
    alike = both @ both.T / TEMPERATURE
    alike.fill_diagonal_(-torch.inf)
    b = len(first)
    return F.cross_entropy(alike, torch.arange(2 * b, device=first.device).roll(b))


@torch.no_grad()
def found_again(
    net: FaceEmbedding, images: UInt8[Tensor, "n 3 h w"], around: Float[Tensor, "n 1 h w"], seed: int = 0
) -> float:
    """The share of photos one view of which is nearest to another view of the same photo."""
    device = next(net.parameters()).device
    pairs = (views(images, around, net.size, draws(seed, i)).to(device) for i in (0, 1))
    first, second = (net.eval().embed(pictures).cpu() for pictures in pairs)
    return float(((first @ second.T).argmax(1) == torch.arange(len(images))).float().mean())


@dataclass(frozen=True, kw_only=True)
class EmbeddingProtocol(Protocol):
    """The numbers of this training."""

    batch: int = number(64, "photos a step, two views of each")
    average: float = number(0.99, "decay of the average of the weights, which is what is used")
    steps: int = number(1000, "steps in all")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the last three fifths")


PRESETS = {"bundled": EmbeddingProtocol()}


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--pack", type=Path, help="file for the averaged weights, such as embedding.safetensors")

    protocol, options = read_options(__doc__, PRESETS, arguments, more=more)
    device = options.device
    torch.manual_seed(protocol.seed)
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    images, around = faces.resized(SIZE), surroundings(load_labels(options.labels, faces).regions)
    test = held_out.resized(SIZE), surroundings(load_labels(options.labels, held_out).regions)
    net = FaceEmbedding().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    adam = torch.optim.AdamW(net.parameters(), weight_decay=0.02)

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        set_rate(adam, decayed(protocol.rate, i, protocol.steps, final=0.6))
        rows = torch.randperm(len(images), generator=random)[: protocol.batch]
        seen = torch.cat([views(images[rows], around[rows], net.size, random) for _ in range(2)])
        net.train()
        with half_precision(device):
            numbers = net.embed(seen.to(device, memory_format=torch.channels_last))
        loss = contrast(*numbers.float().chunk(2))
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, protocol.average, i)
        return {"loss": loss.detach()}

    def report(done: int) -> None:
        print(f"held-out photos found again after {done}: {found_again(average, *test):.3f}", flush=True)

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=protocol.steps, out=options.out, batch=protocol.batch, report=report, every=options.every)
    if options.pack:
        write(options.pack, {"embedding": (average, {})})


if __name__ == "__main__":
    main()
