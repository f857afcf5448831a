"""Train the parser: ``maskedit train parser --faces FOLDER --labels LABELS --out RUN``.

It learns the regions that were measured and, with ``--checked FILE``, more from those that were corrected by eye.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image as Pillow
from torch import Tensor, nn

from maskedit.attributes import REGIONS
from maskedit.metrics import intersection_over_union
from maskedit.models.networks.portraits import PortraitParser
from maskedit.training.augment import degrade, one_hot, random_affine, recolour, warp_affine
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.given_regions import read_regions
from maskedit.training.labels import SIZE, Labels, load_labels
from maskedit.training.loop import Training, half_precision, linear_decay, train
from maskedit.training.options import Hyperparameters, number, read_options
from maskedit.training.sheets import write_png
from maskedit.types import Image

IMPORTANCE = (0.7, 2.0, 2.0, 2.5, 1.0, 1.5, 1.0, 1.5, 0.7)
"""Weight of each region in the loss: the small ones would hardly count by their pixels."""
# fmt: off
COLOURS = (
    (40, 40, 40), (220, 60, 90), (120, 80, 40), (60, 120, 240), (230, 180, 60), (240, 140, 100), (240, 200, 170),
    (160, 90, 200), (70, 160, 110),
)
# fmt: on
"""Of each region on a sheet."""


@runtime_checkable
class RegionNet(Protocol):
    """A network that gives a map of logits for each of ``REGIONS``."""

    def logits(self, image: Image, /) -> Float[Tensor, "b regions _ _"]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def eval(self) -> object: ...


def augmented(
    images: Float[Tensor, "b 3 h w"], regions: UInt8[Tensor, "b h w"], rng: torch.Generator, size: int
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b regions size size"]]:
    """Pictures and their region maps, moved, turned, mirrored, recoloured and made worse together."""
    place = random_affine(len(images), rng, shift=0.07, zoom=(-0.25, 0.2), degrees=15.0)
    both = warp_affine(torch.cat([images, one_hot(regions)], 1), place, size)
    return degrade(recolour(both[:, :3], rng), rng, smallest=24), both[:, 3:]


def held_out_overlap(net: RegionNet, faces: Faces, labels: Labels, through: int = SIZE) -> Float[Tensor, " regions"]:
    """IoU of each region with the measured labels, on photos that first went ``through`` so many pixels a side."""
    return intersection_over_union(found_regions(net, faces.resized(through)), labels.regions, len(REGIONS))


@torch.no_grad()
def found_regions(net: RegionNet, images: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n size size"]:
    """The likeliest region of each pixel, on maps of ``SIZE`` pixels."""
    net.eval()
    device = next(net.parameters()).device
    found: list[Tensor] = []
    for part in images.split(32):
        logits = net.logits(part.to(device).float() / 255)
        if logits.shape[-1] != SIZE:
            logits = F.interpolate(logits, (SIZE, SIZE), mode="bilinear", align_corners=False)
        found.append(logits.argmax(1).byte().cpu())
    return torch.cat(found)


def region_sheet(path: Path, net: RegionNet, faces: Faces, labels: Labels, count: int = 10) -> None:
    """Photos, what the network finds in them, and the measured labels, as a PNG."""
    rows = torch.arange(0, len(faces), max(len(faces) // count, 1))[:count]
    images = faces.resized(SIZE)[rows]
    maps = [
        torch.tensor(COLOURS, dtype=torch.uint8)[m.long()] for m in (found_regions(net, images), labels.regions[rows])
    ]
    lines = torch.stack([rearrange(images, "n c h w -> n h w c"), *maps])
    write_png(path, Pillow.fromarray(rearrange(lines, "rows n h w c -> (rows h) (n w) c").numpy()))


@dataclass(frozen=True, kw_only=True)
class ParserHyperparameters(Hyperparameters):
    """The numbers of this training."""

    batch: int = number(16, "pictures a step")
    steps: int = number(3000, "steps in all")
    corrected: float = number(0.7, "share of the pictures whose regions were corrected by eye, where there are any")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the second half")


PRESETS = {"bundled": ParserHyperparameters()}


def training(hyper: ParserHyperparameters, options: argparse.Namespace) -> Training:
    """Network, data, loss, optimiser, and what is reported."""
    torch.manual_seed(hyper.seed)
    net = PortraitParser()

    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    labels, held_out_labels = load_labels(options.labels, faces), load_labels(options.labels, held_out)
    images, truth = faces.resized(SIZE), labels.regions.clone()
    corrected = torch.zeros(0, dtype=torch.int64)
    if options.checked:
        corrected, maps = read_regions(options.checked).over(labels.regions, faces.names)
        truth[corrected] = maps
    importance = torch.tensor(IMPORTANCE, device=options.device)

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        rows = balanced(faces, 0.5, hyper.batch, rng)
        if len(corrected):  # by the eye, and so better than the measured maps, but few
            drawn = corrected[torch.randint(len(corrected), rows.shape, generator=rng)]
            rows = torch.where(torch.rand(rows.shape, generator=rng) < hyper.corrected, drawn, rows)
        photos, _ = labels.dyed(images[rows].float() / 255, rows, 0.3, rng)
        photos, wanted = augmented(photos, truth[rows], rng, net.size)
        with half_precision(options.device):
            found = net.logits(photos.to(options.device, memory_format=torch.channels_last))
        weights = wanted.to(options.device) * rearrange(importance, "regions -> regions 1 1")
        return {"loss": -(weights * found.float().log_softmax(1)).sum() / weights.sum()}

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, PortraitParser)
        shares = held_out_overlap(ema, held_out, held_out_labels)
        print(f"overlap after {done}:", *(f"{n} {x:.3f}" for n, x in zip(REGIONS, shares, strict=True)), flush=True)
        region_sheet(options.out / "sheet.png", ema, held_out, held_out_labels)

    return Training(
        network=net,
        optimizer=torch.optim.Adam(net.parameters(), hyper.rate),
        rate=lambda i: linear_decay(i, hyper.steps, final=0.5),
        loss=loss,
        steps=hyper.steps,
        report=report,
    )


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--checked", type=Path, help="JSON of regions corrected by eye (docs/training.md)")

    hyper, options = read_options(__doc__, PRESETS, arguments, more=more)
    train(training(hyper, options), hyper, out=options.out, every=options.every, device=options.device)


if __name__ == "__main__":
    main()
