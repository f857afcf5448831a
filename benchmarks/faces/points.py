"""Train the network that finds the mesh's points: ``python -m benchmarks.faces.points --faces FOLDER --out RUN``.

It learns from photos and from photos in other shapes (``warped.py``): from plain faces alone a network tells most of a
shape by what usually goes with it, and sees a third of what a warp does.
"""

import argparse
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.faces.warped import Meshed, in_other_shapes, meshed
from maskedit.models import load_landmarks
from maskedit.models.geometry import MeshNet
from maskedit.models.geometry.mesh import EYES, MIRROR, OWN, POINTS, area, rows
from maskedit.models.geometry.network import WINDOW
from maskedit.models.networks.portraits import LandmarkNet
from maskedit.training.augment import affine, degrade, recolour, transform_points, uniform, warp_affine
from maskedit.training.faces import balanced, load_faces
from maskedit.training.loop import Training, half_precision, linear_decay, train
from maskedit.training.options import Hyperparameters, number, read_options

WEIGHT = torch.ones(len(POINTS))
WEIGHT[rows([n for region in ("mouth", "eyebrows", "eyes") for n in OWN[region]])] = 2.0
"""Lips, brows and lids count twice: what they do is small."""


@dataclass(frozen=True, kw_only=True)
class PointsHyperparameters(Hyperparameters):
    """The numbers of this training."""

    steps: int = number(800, "steps in all")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the last three fifths")
    warped: float = number(0.4, "share of pictures in another shape")


PRESETS = {"bundled": PointsHyperparameters(average=0.99)}


def varied(
    images: Float[Tensor, "b 3 h w"], points: Float[Tensor, "b points 2"], size: int, rng: torch.Generator
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b points 2"]]:
    """Crops about as :class:`MeshNet` makes them, varied, half of them mirrored; and the points in them."""
    b = len(images)
    left, top, side = WINDOW
    flipped = (torch.rand(b, generator=rng) < 0.5).float()
    place = affine(
        torch.tensor([left, top]) + side / 2 + uniform(-0.03, 0.03, b, 2, rng=rng),
        side * uniform(-0.1, 0.1, b, rng=rng).exp(),
        uniform(-8.0, 8.0, b, rng=rng),
        flipped,
    )
    inside = transform_points(points, place)
    return warp_affine(images, place, size), torch.where(flipped[:, None, None] > 0, inside[:, MIRROR], inside)


def error(found: Float[Tensor, "b points 2"], points: Float[Tensor, "b points 2"]) -> Float[Tensor, "b points"]:
    """Distances over that of the outer corners of the eyes."""
    corners = rows((EYES[0][0], EYES[1][0]))
    unit = (points[:, corners[0]] - points[:, corners[1]]).norm(dim=1)
    return (found - points).norm(dim=2) / unit[:, None]


@torch.no_grad()
def found_points(net: MeshNet, pictures: Meshed) -> Float[Tensor, "n points 2"]:
    """What the network finds in each picture and in its mirror image, averaged."""
    net.eval()
    found = []
    for part in pictures.images.split(32):
        both = torch.cat([part, part.flip(3)]).float() / 255
        plain, image = net.points(both).chunk(2)
        image = image[:, MIRROR]
        found.append((plain + torch.stack([1 - image[..., 0], image[..., 1]], 2)) / 2)
    return torch.cat(found)


def begun(
    net: LandmarkNet, points: Float[Tensor, "points 2"], landmarks: Float[Tensor, "68 2"], near: int = 3
) -> MeshNet:
    """A network that begins as one for the usual 68 points: each map is a mean of those of the ``near`` nearest ones.

    Args:
        net: finds the 68.
        points: where the mesh's points usually are.
        landmarks: where the 68 are.
    """
    found = MeshNet(size=net.size)
    found.inner.trunk.load_state_dict(net.trunk.state_dict())
    apart, nearest = torch.cdist(points, landmarks).topk(near, largest=False)
    share = 1 / (apart + 0.01)
    share = share / share.sum(1, keepdim=True)
    with torch.no_grad():
        for mine, theirs in ((found.inner.head.weight, net.head.weight), (found.inner.head.bias, net.head.bias)):
            mine.copy_((theirs.view(68, -1)[nearest] * share[..., None]).sum(1).view_as(mine))
    return found


def sizes_seen(net: MeshNet, plain: Meshed, moved: Meshed) -> dict[str, float]:
    """Slope of the change of each region's area, as the network sees it, over the true change; in logarithms."""
    before, after = found_points(net, plain), found_points(net, moved)
    slopes = {}
    for region in OWN:
        true, seen = (
            area(new, region).clamp(min=1e-5).log() - area(old, region).clamp(min=1e-5).log()
            for old, new in ((plain.points, moved.points), (before, after))
        )
        slopes[region] = float((true * seen).sum() / true.square().sum())
    return slopes


def training(hyper: PointsHyperparameters, options: argparse.Namespace) -> Training:
    """Network, data, loss, optimiser, and what is reported."""
    torch.manual_seed(hyper.seed)
    faces, held_out = load_faces(options.faces, "train"), meshed(options.faces, load_faces(options.faces, "test"))
    photos, held_out_moved = meshed(options.faces, faces), in_other_shapes(held_out)
    net = begun(load_landmarks(), photos.points.mean(0), faces.landmarks.mean(0))

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        chosen = balanced(faces, 0.5, hyper.batch, rng)
        crops, points = varied(*photos.drawn(chosen, hyper.warped, rng), net.inner.size, rng)
        crops = degrade(recolour(crops, rng), rng, smallest=40).to(options.device, memory_format=torch.channels_last)
        with half_precision(options.device):
            found = net.inner.landmarks(crops)
        return {"loss": (error(found.float(), points.to(options.device)) * WEIGHT.to(options.device)).mean()}

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, MeshNet)
        for name, pictures in (("photos", held_out), ("other shapes", held_out_moved)):
            apart = error(found_points(ema, pictures), pictures.points)
            told = " ".join(f"{region} {apart[:, rows(own)].mean():.4f}" for region, own in OWN.items())
            print(f"held out after {done}, {name}: {apart.mean():.4f}; {told}", flush=True)
        slopes = sizes_seen(ema, held_out, held_out_moved)
        print("sizes seen: " + " ".join(f"{region} {slope:.2f}" for region, slope in slopes.items()), flush=True)

    return Training(
        network=net,
        optimizer=torch.optim.Adam(net.parameters(), hyper.rate),
        rate=lambda i: min(1.0, (i + 1) / 20) * linear_decay(i, hyper.steps, final=0.6),
        loss=loss,
        steps=hyper.steps,
        report=report,
    )


def main(arguments: list[str] | None = None) -> None:
    hyper, options = read_options(__doc__, PRESETS, arguments, labels=False)
    train(training(hyper, options), hyper, out=options.out, every=options.every, device=options.device)


if __name__ == "__main__":
    main()
