"""Train the embedding: ``maskedit train embedding --faces FOLDER --labels LABELS --out RUN``.

Two views of one photo are one, those of other photos are others (InfoNCE). The views differ in place, size, light and
colour, by the mirror, and half of them have another photo's background and clothes: what is left to tell photos apart
by is who is seen, and how. Sharpness stays as it is, so that soft pictures stay apart from sharp ones. ``--pack FILE``
writes the weights as they are bundled.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maskedit.models.networks.face_embedding import FaceEmbedding
from maskedit.models.weights.bundled import write_networks
from maskedit.training.augment import random_affine, recolour, region_mask, warp_affine
from maskedit.training.faces import load_faces
from maskedit.training.labels import SIZE, load_labels
from maskedit.training.loop import Training, half_precision, linear_decay, step_rng, train
from maskedit.training.options import Hyperparameters, number, read_options

TEMPERATURE = 0.1


def views(
    images: UInt8[Tensor, "b 3 h w"], around: Float[Tensor, "b 1 h w"], size: int, rng: torch.Generator
) -> Float[Tensor, "b 3 size size"]:
    """One view of each photo; half of them have the next photo's pixels where ``around`` is 1 in both."""
    b = len(images)
    photos = images.float() / 255
    chosen = torch.rand(b, 1, 1, 1, generator=rng) < 0.5
    photos = photos.lerp(photos.roll(1, 0), around * around.roll(1, 0) * chosen)
    place = random_affine(b, rng, shift=0.04, zoom=(-0.12, 0.08), degrees=8.0)
    return recolour(F.avg_pool2d(warp_affine(photos, place, 2 * size), 2), rng, 0.7)


def surroundings(regions: UInt8[Tensor, "n h w"]) -> Float[Tensor, "n 1 h w"]:
    """Background and what is below the face, with a soft edge."""
    return region_mask(regions, ["background", "below_face"])


def info_nce(first: Float[Tensor, "b dim"], second: Float[Tensor, "b dim"]) -> Float[Tensor, ""]:
    """How hard it is to find each view's other view among those of all photos, in nats."""
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
    pairs = (views(images, around, net.size, step_rng(seed, i)).to(device) for i in (0, 1))
    first, second = (net.eval().embed(pictures).cpu() for pictures in pairs)
    return float(((first @ second.T).argmax(1) == torch.arange(len(images))).float().mean())


@dataclass(frozen=True, kw_only=True)
class EmbeddingHyperparameters(Hyperparameters):
    """The numbers of this training."""

    batch: int = number(64, "photos a step, two views of each")
    average: float = number(0.99, "decay of the average of the weights, which is what is used")
    steps: int = number(1000, "steps in all")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the last three fifths")


PRESETS = {"bundled": EmbeddingHyperparameters()}


def training(hyper: EmbeddingHyperparameters, options: argparse.Namespace) -> Training:
    """Network, data, loss, optimiser, and what is reported."""
    torch.manual_seed(hyper.seed)
    net = FaceEmbedding()

    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    images, around = faces.resized(SIZE), surroundings(load_labels(options.labels, faces).regions)
    test = held_out.resized(SIZE), surroundings(load_labels(options.labels, held_out).regions)

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randperm(len(images), generator=rng)[: hyper.batch]
        seen = torch.cat([views(images[rows], around[rows], net.size, rng) for _ in range(2)])
        with half_precision(options.device):
            numbers = net.embed(seen.to(options.device, memory_format=torch.channels_last))
        return {"loss": info_nce(*numbers.float().chunk(2))}

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, FaceEmbedding)
        print(f"held-out photos found again after {done}: {found_again(ema, *test):.3f}", flush=True)

    return Training(
        network=net,
        optimizer=torch.optim.AdamW(net.parameters(), hyper.rate, weight_decay=0.02),
        rate=lambda i: linear_decay(i, hyper.steps, final=0.6),
        loss=loss,
        steps=hyper.steps,
        report=report,
    )


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--pack", type=Path, help="file for the averaged weights, such as embedding.safetensors")

    hyper, options = read_options(__doc__, PRESETS, arguments, more=more)
    ema = train(training(hyper, options), hyper, out=options.out, every=options.every, device=options.device)
    if options.pack:
        write_networks(options.pack, {"embedding": (ema, {})})


if __name__ == "__main__":
    main()
