"""Train the parser: ``maskedit train parser --faces FOLDER --labels LABELS --out RUN``."""

import typing
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maskedit.attributes import REGIONS
from maskedit.models.networks.portraits import PortraitParser
from maskedit.training.augment import crop, degrade, placement, recolour, uniform
from maskedit.training.checked_regions import checked_regions, overlap
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.labels import SIZE, Labels, load_labels
from maskedit.training.loop import Kept, decayed, draws, follow, half_precision, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options
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


@typing.runtime_checkable
class RegionNet(typing.Protocol):
    """A network that gives a map of logits for each of ``REGIONS``."""

    def logits(self, image: Image, /) -> Float[Tensor, "b regions _ _"]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def eval(self) -> object: ...


def varied(
    images: Float[Tensor, "b 3 h w"], regions: UInt8[Tensor, "b h w"], random: torch.Generator, size: int
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b regions size size"]]:
    """Pictures and their region maps, moved, turned, mirrored, recoloured and made worse together."""
    b = len(images)
    place = placement(
        0.5 + uniform(-0.07, 0.07, b, 2, random=random),
        uniform(-0.25, 0.2, b, random=random).exp(),
        uniform(-15.0, 15.0, b, random=random),
        (torch.rand(b, generator=random) < 0.5).float(),
    )
    maps = F.one_hot(regions.long(), len(REGIONS)).permute(0, 3, 1, 2).float()
    both = crop(torch.cat([images, maps], 1), place, size)
    return degrade(recolour(both[:, :3], random), random, smallest=24), both[:, 3:]


def held_out_overlap(net: RegionNet, faces: Faces, labels: Labels, through: int = SIZE) -> Float[Tensor, " regions"]:
    """:func:`overlap` with the measured labels, on photos that first went ``through`` so many pixels a side."""
    return overlap(found_regions(net, faces.resized(through)), labels.regions)


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
    from PIL import Image as Pillow

    rows = torch.arange(0, len(faces), max(len(faces) // count, 1))[:count]
    images = faces.resized(SIZE)[rows]
    maps = [
        torch.tensor(COLOURS, dtype=torch.uint8)[m.long()] for m in (found_regions(net, images), labels.regions[rows])
    ]
    lines = [torch.cat(list(line), 1) for line in (images.permute(0, 2, 3, 1), *maps)]
    partial = path.with_suffix(".partial")
    Pillow.fromarray(torch.cat(lines).numpy()).save(partial, "PNG")
    partial.replace(path)


@dataclass(frozen=True, kw_only=True)
class ParserProtocol(Protocol):
    """The numbers of this training."""

    batch: int = number(16, "pictures a step")
    steps: int = number(3000, "steps in all")
    corrected: float = number(0.7, "share of the pictures whose regions were corrected by eye, where there are any")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the second half")


PRESETS = {"bundled": ParserProtocol()}


def main(arguments: list[str] | None = None) -> None:
    protocol, options = read_options(__doc__, PRESETS, arguments)
    device = options.device
    torch.manual_seed(protocol.seed)
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    labels, held_out_labels = load_labels(options.labels, faces), load_labels(options.labels, held_out)
    images, truth = faces.resized(SIZE), labels.regions.clone()
    corrected, maps = checked_regions(faces, labels)
    truth[corrected] = maps
    net = PortraitParser().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    adam = torch.optim.Adam(net.parameters())
    importance = torch.tensor(IMPORTANCE, device=device)

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        set_rate(adam, decayed(protocol.rate, i, protocol.steps, final=0.5))
        rows = balanced(faces, 0.5, protocol.batch, random)
        if len(corrected):  # by the eye, and so better than the measured maps, but few
            drawn = corrected[torch.randint(len(corrected), rows.shape, generator=random)]
            rows = torch.where(torch.rand(rows.shape, generator=random) < protocol.corrected, drawn, rows)
        photos, _ = labels.dyed(images[rows].float() / 255, rows, 0.3, random)
        photos, wanted = varied(photos, truth[rows], random, net.size)
        photos, wanted = photos.to(device, memory_format=torch.channels_last), wanted.to(device)
        net.train()
        with half_precision(device):
            found = net.logits(photos)
        weights = wanted * importance[:, None, None]
        loss = -(weights * found.float().log_softmax(1)).sum() / weights.sum()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, protocol.average, i)
        return {"loss": loss.detach()}

    def report(done: int) -> None:
        shares = held_out_overlap(average, held_out, held_out_labels)
        print(f"overlap after {done}:", *(f"{n} {x:.3f}" for n, x in zip(REGIONS, shares, strict=True)), flush=True)
        region_sheet(options.out / "sheet.png", average, held_out, held_out_labels)

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=protocol.steps, out=options.out, batch=protocol.batch, report=report, every=options.every)


if __name__ == "__main__":
    main()
