"""Train the parser: ``python -m maskedit.training.parser --faces FOLDER --labels LABELS --out RUN``."""

import argparse
from copy import deepcopy
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.models.portraits import PortraitParser
from maskedit.training.augment import crop, degrade, placement, recolour, uniform
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.labels import SIZE, Labels, load_labels
from maskedit.training.loop import Kept, decayed, draws, follow, set_rate, train

IMPORTANCE = (0.7, 2.0, 2.0, 2.5, 1.0, 1.5, 1.0, 1.5, 0.7)
"""Weight of each region in the loss: the small ones would hardly count by their pixels."""


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


def overlap(found: UInt8[Tensor, "n h w"], labels: UInt8[Tensor, "n h w"]) -> Float[Tensor, " regions"]:
    """Intersection over union of each region, over all pictures together."""
    wanted = [(found == i, labels == i) for i in range(len(REGIONS))]
    return torch.stack([(a & b).sum() / (a | b).sum().clamp(min=1) for a, b in wanted])


@torch.no_grad()
def held_out_overlap(
    net: PortraitParser, faces: Faces, labels: Labels, through: int = SIZE
) -> Float[Tensor, " regions"]:
    """:func:`overlap` with the measured labels, on photos that first went ``through`` so many pixels a side."""
    net.eval()
    parts = faces.resized(through).split(32)
    found = torch.cat([net.logits(part.float() / 255).argmax(1).byte() for part in parts])
    return overlap(found, labels.regions)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--labels", type=Path, required=True, help="folder that maskedit.training.labels wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints")
    options = parser.parse_args(arguments)

    torch.manual_seed(options.seed)
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    labels, held_out_labels = load_labels(options.labels, faces), load_labels(options.labels, held_out)
    images = faces.resized(SIZE)
    net = PortraitParser().to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    adam = torch.optim.Adam(net.parameters())
    importance = torch.tensor(IMPORTANCE)

    def step(i: int) -> dict[str, Tensor]:
        random = draws(options.seed, i)
        set_rate(adam, decayed(2e-3, i, options.steps, final=0.5))
        rows = balanced(faces, 0.5, options.batch, random)
        photos, _ = labels.dyed(images[rows].float() / 255, rows, 0.3, random)
        photos, wanted = varied(photos, labels.regions[rows], random, net.size)
        net.train()
        with torch.autocast("cpu", torch.bfloat16):
            found = net.logits(photos.to(memory_format=torch.channels_last))
        weights = wanted * importance[:, None, None]
        loss = -(weights * found.float().log_softmax(1)).sum() / weights.sum()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, 0.995, i)
        return {"loss": loss.detach()}

    def report(done: int) -> None:
        shares = held_out_overlap(average, held_out, held_out_labels)
        print(f"overlap after {done}:", *(f"{n} {x:.3f}" for n, x in zip(REGIONS, shares, strict=True)), flush=True)

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=options.steps, out=options.out, batch=options.batch, report=report, every=options.every)


if __name__ == "__main__":
    main()
