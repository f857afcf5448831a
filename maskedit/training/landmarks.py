"""Train the landmark network: ``python -m maskedit.training.landmarks --faces FOLDER --out RUN``."""

import argparse
from copy import deepcopy
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.models.portraits import LandmarkNet
from maskedit.training.augment import crop, degrade, into_crop, placement, recolour, uniform
from maskedit.training.faces import MIRROR, Faces, balanced, load_faces
from maskedit.training.loop import Kept, decayed, draws, follow, set_rate, train

WIDTH = 4.2
"""Side of the crop in eye distances, before it is varied."""


def eye_distance(points: Float[Tensor, "b 68 2"]) -> Float[Tensor, " b"]:
    """Distance of the eyes' middles."""
    return (points[:, 36:42].mean(1) - points[:, 42:48].mean(1)).norm(dim=1)


def loose_crops(
    images: Float[Tensor, "b 3 h w"],
    points: Float[Tensor, "b 68 2"],
    size: int,
    random: torch.Generator,
    vary: float = 1.0,
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b 68 2"]]:
    """Crops as a face finder would give, varied in size, place and turn, half of them mirrored; points in them."""
    b = len(images)
    side = eye_distance(points) * WIDTH * uniform(-0.25 * vary, 0.25 * vary, b, random=random).exp()
    centre = points[:, 30] + side[:, None] * uniform(-0.1 * vary, 0.1 * vary, b, 2, random=random)
    mirrored = (torch.rand(b, generator=random) < 0.5 * vary).float()
    place = placement(centre, side, uniform(-30 * vary, 30 * vary, b, random=random), mirrored)
    inside = into_crop(points, place)
    return crop(images, place, size), torch.where(mirrored[:, None, None] > 0, inside[:, MIRROR], inside)


def mean_error(found: Float[Tensor, "b 68 2"], points: Float[Tensor, "b 68 2"]) -> Float[Tensor, " b"]:
    """Mean distance of the points, over the eye distance."""
    return (found - points).norm(dim=2).mean(1) / eye_distance(points)


@torch.no_grad()
def held_out_error(net: LandmarkNet, faces: Faces, vary: float = 1.0, seed: int = 0) -> Float[Tensor, " n"]:
    """The mean error on each face, in one random crop of it."""
    net.eval()
    images = faces.resized(128).float() / 255
    crops, points = loose_crops(images, faces.landmarks, net.size, draws(seed, 0), vary)
    return mean_error(net.landmarks(crops), points)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and weights")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=200, help="steps between checkpoints")
    options = parser.parse_args(arguments)

    torch.manual_seed(options.seed)
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    images = faces.resized(128)
    net = LandmarkNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    adam = torch.optim.Adam(net.parameters())

    def step(i: int) -> dict[str, Tensor]:
        random = draws(options.seed, i)
        set_rate(adam, decayed(2e-3, i, options.steps, final=0.5))
        rows = balanced(faces, 0.4, options.batch, random)
        crops, points = loose_crops(images[rows].float() / 255, faces.landmarks[rows], net.size, random)
        crops = degrade(recolour(crops, random), random, smallest=24).to(memory_format=torch.channels_last)
        net.train()
        with torch.autocast("cpu", torch.bfloat16):
            found = net.landmarks(crops)
        loss = mean_error(found.float(), points).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, 0.995, i)
        return {"loss": loss.detach()}

    def report(done: int) -> None:
        print(f"held-out error after {done}: {held_out_error(average, held_out).mean():.4f}", flush=True)

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=options.steps, out=options.out, batch=options.batch, report=report, every=options.every)


if __name__ == "__main__":
    main()
