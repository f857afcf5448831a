"""Train the network that finds the mesh's points: ``python -m benchmarks.faces.points --faces FACES --warped FILE --out RUN``.

It learns from photos and from their copies in other shapes (``benchmarks.faces.warped``): from plain faces alone a
network tells most of a shape by what usually goes with it, and sees a third of what a warp does.
"""

import argparse
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.faces.warped import Warped, read
from maskedit.models import load_landmarks
from maskedit.models.geometry.mesh import EYES, MIRROR, OWN, POINTS, area, rows
from maskedit.models.geometry.network import WINDOW, MeshNet
from maskedit.training.augment import crop, degrade, into_crop, placement, recolour, uniform
from maskedit.training.faces import load_faces
from maskedit.training.loop import Kept, decayed, draws, follow, half_precision, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options

WEIGHT = torch.ones(len(POINTS))
WEIGHT[rows([n for region in ("mouth", "eyebrows", "eyes") for n in OWN[region]])] = 2.0
"""Lips, brows and lids count twice: what they do is small."""


@dataclass(frozen=True, kw_only=True)
class PointsProtocol(Protocol):
    """The numbers of this training."""

    steps: int = number(1400, "steps in all")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the second half")
    warped: float = number(0.6, "share of pictures in another shape")


PRESETS = {"bundled": PointsProtocol()}


def varied(
    images: Float[Tensor, "b 3 h w"], points: Float[Tensor, "b points 2"], size: int, random: torch.Generator
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b points 2"]]:
    """Crops about as :class:`MeshNet` makes them, varied in place, size and turn, half of them mirrored; points in them."""
    b = len(images)
    left, top, side = WINDOW
    place = placement(
        torch.tensor([left, top]) + side / 2 + uniform(-0.03, 0.03, b, 2, random=random),
        side * uniform(-0.1, 0.1, b, random=random).exp(),
        uniform(-8.0, 8.0, b, random=random),
        flipped := (torch.rand(b, generator=random) < 0.5).float(),
    )
    inside = into_crop(points, place)
    return crop(images, place, size), torch.where(flipped[:, None, None] > 0, inside[:, MIRROR], inside)


def error(found: Float[Tensor, "b points 2"], points: Float[Tensor, "b points 2"]) -> Float[Tensor, "b points"]:
    """Distances over that of the outer corners of the eyes."""
    corners = rows((EYES[0][0], EYES[1][0]))
    unit = (points[:, corners[0]] - points[:, corners[1]]).norm(dim=1)
    return (found - points).norm(dim=2) / unit[:, None]


@torch.no_grad()
def found_points(net: MeshNet, pictures: Warped) -> Float[Tensor, "n points 2"]:
    """What the network finds in each picture and in its mirror image, averaged."""
    net.eval()
    found = []
    for part in pictures.images.split(32):
        both = torch.cat([part, part.flip(3)]).float() / 255
        plain, image = net.points(both).chunk(2)
        image = image[:, MIRROR]
        found.append((plain + torch.stack([1 - image[..., 0], image[..., 1]], 2)) / 2)
    return torch.cat(found)


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--warped", type=Path, required=True, help="the training photos in other shapes")
        parser.add_argument("--held-out", type=Path, help="the same of held-out photos, to report on")

    protocol, options = read_options(__doc__, PRESETS, arguments, labels=False, more=more)
    device = options.device
    torch.manual_seed(protocol.seed)
    faces, pictures = load_faces(options.faces, "train"), read(options.warped)
    held_out = read(options.held_out) if options.held_out else None
    net = MeshNet()
    net.inner.trunk.load_state_dict(load_landmarks().trunk.state_dict())  # sees faces already
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    adam = torch.optim.Adam(net.parameters())
    synthetic = torch.tensor(faces.synthetic).repeat(1 + pictures.copies)
    plain = torch.arange(len(pictures.images)) < pictures.photos
    weights = torch.where(plain, 1 - protocol.warped, protocol.warped / pictures.copies)
    weights = weights * torch.where(synthetic, 1 / synthetic.sum(), 1 / (~synthetic).sum())

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        set_rate(adam, decayed(protocol.rate, i, protocol.steps, final=0.5) * min(1.0, (i + 1) / 50))
        chosen = torch.multinomial(weights, protocol.batch, replacement=True, generator=random)
        crops, points = varied(pictures.images[chosen].float() / 255, pictures.points[chosen], net.inner.size, random)
        crops = degrade(recolour(crops, random), random, smallest=40)
        net.train()
        with half_precision(device):
            found = net.inner.landmarks(crops.to(device, memory_format=torch.channels_last))
        loss = (error(found.float(), points.to(device)) * WEIGHT.to(device)).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, protocol.average, i)
        return {"loss": loss.detach()}

    def report(done: int) -> None:
        if held_out is None:
            return
        found = found_points(average, held_out)
        apart = error(found, held_out.points)
        told = " ".join(f"{region} {apart[:, rows(own)].mean():.4f}" for region, own in OWN.items())
        print(f"held out after {done}: {apart.mean():.4f}; {told}; {seen_sizes(found, held_out)}", flush=True)

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=protocol.steps, out=options.out, batch=protocol.batch, report=report, every=options.every)


def seen_sizes(found: Float[Tensor, "n points 2"], pictures: Warped) -> str:
    """Slope of the change of each region's area as it is found over its true change, in logarithms."""
    told = []
    for region in OWN:
        true, seen = (area(points, region).clamp(min=1e-5).log() for points in (pictures.points, found))
        change, reading = (
            values[pictures.photos :] - values[: pictures.photos].repeat(pictures.copies) for values in (true, seen)
        )
        told.append(f"{region} {(change * reading).sum() / change.square().sum():.2f}")
    return "sizes seen: " + " ".join(told)


if __name__ == "__main__":
    main()
