"""Train the landmark network: ``maskedit train landmarks --faces FOLDER --out RUN``."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.networks.portraits import LandmarkNet
from maskedit.training.augment import affine, degrade, recolour, transform_points, uniform, warp_affine
from maskedit.training.faces import MIRROR, Faces, balanced, load_faces
from maskedit.training.loop import Training, half_precision, linear_decay, step_rng, train
from maskedit.training.options import Hyperparameters, number, read_options
from maskedit.training.sheets import write_png

WIDTH = 4.2
"""Side of the crop in eye distances, before it is varied."""


def eye_distance(points: Float[Tensor, "b 68 2"]) -> Float[Tensor, " b"]:
    """Distance of the eyes' middles."""
    return (points[:, 36:42].mean(1) - points[:, 42:48].mean(1)).norm(dim=1)


def loose_crops(
    images: Float[Tensor, "b 3 h w"],
    points: Float[Tensor, "b 68 2"],
    size: int,
    rng: torch.Generator,
    vary: float = 1.0,
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b 68 2"]]:
    """Crops as a face finder would give, varied in size, place and turn, half of them mirrored; points in them."""
    b = len(images)
    side = eye_distance(points) * WIDTH * uniform(-0.25 * vary, 0.25 * vary, b, rng=rng).exp()
    centre = points[:, 30] + side[:, None] * uniform(-0.1 * vary, 0.1 * vary, b, 2, rng=rng)
    mirrored = (torch.rand(b, generator=rng) < 0.5 * vary).float()
    place = affine(centre, side, uniform(-30 * vary, 30 * vary, b, rng=rng), mirrored)
    inside = transform_points(points, place)
    return warp_affine(images, place, size), torch.where(mirrored[:, None, None] > 0, inside[:, MIRROR], inside)


def mean_error(found: Float[Tensor, "b 68 2"], points: Float[Tensor, "b 68 2"]) -> Float[Tensor, " b"]:
    """Mean distance of the points, over the eye distance."""
    return (found - points).norm(dim=2).mean(1) / eye_distance(points)


@torch.no_grad()
def held_out_error(net: LandmarkNet, faces: Faces, vary: float = 1.0, seed: int = 0) -> Float[Tensor, " n"]:
    """The mean error on each face, in one random crop of it."""
    net.eval()
    images = faces.resized(128).float() / 255
    crops, points = loose_crops(images, faces.landmarks, net.size, step_rng(seed, 0), vary)
    return mean_error(net.landmarks(crops.to(next(net.parameters()).device)).cpu(), points)


@torch.no_grad()
def point_sheet(path: Path, net: LandmarkNet, faces: Faces, count: int = 10, size: int = 192) -> None:
    """Random crops with the points that the network finds in them, as a PNG."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    net.eval()
    rows = torch.arange(0, len(faces), max(len(faces) // count, 1))[:count]
    images = faces.images[rows].float() / 255
    crops, _ = loose_crops(images, faces.landmarks[rows], size, step_rng(0, 0))
    found = net.landmarks(crops.to(next(net.parameters()).device)).cpu() * size
    line = rearrange(crops, "n c h w -> h (n w) c")
    picture = Pillow.fromarray(line.mul(255).round().byte().numpy())
    pen = ImageDraw.Draw(picture)
    for i, points in enumerate(found.tolist()):
        for x, y in points:
            pen.ellipse([x + i * size - 1, y - 1, x + i * size + 1, y + 1], fill=(0, 255, 0))
    write_png(path, picture)


@dataclass(frozen=True, kw_only=True)
class LandmarkHyperparameters(Hyperparameters):
    """The numbers of this training."""

    steps: int = number(2400, "steps in all")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the second half")


PRESETS = {"bundled": LandmarkHyperparameters()}


def training(hyper: LandmarkHyperparameters, options: argparse.Namespace) -> Training:
    """Network, data, loss, optimiser, and what is reported."""
    torch.manual_seed(hyper.seed)
    net = LandmarkNet()

    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    images = faces.resized(128)

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        rows = balanced(faces, 0.4, hyper.batch, rng)
        crops, points = loose_crops(images[rows].float() / 255, faces.landmarks[rows], net.size, rng)
        crops = degrade(recolour(crops, rng), rng, smallest=24)
        with half_precision(options.device):
            found = net.landmarks(crops.to(options.device, memory_format=torch.channels_last))
        return {"loss": mean_error(found.float(), points.to(options.device)).mean()}

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, LandmarkNet)
        print(f"held-out error after {done}: {held_out_error(ema, held_out).mean():.4f}", flush=True)
        point_sheet(options.out / "sheet.png", ema, held_out)

    return Training(
        network=net,
        optimizer=torch.optim.Adam(net.parameters(), hyper.rate),
        rate=lambda i: linear_decay(i, hyper.steps, final=0.5),
        loss=loss,
        steps=hyper.steps,
        report=report,
    )


def main(arguments: list[str] | None = None) -> None:
    hyper, options = read_options(__doc__, PRESETS, arguments, labels=False)
    train(training(hyper, options), hyper, out=options.out, every=options.every, device=options.device)


if __name__ == "__main__":
    main()
