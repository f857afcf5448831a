"""Train the landmark network: ``maskedit train landmarks --faces FOLDER --out RUN``."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.models.networks.portraits import LandmarkNet
from maskedit.training.augment import crop, degrade, into_crop, placement, recolour, uniform
from maskedit.training.faces import MIRROR, Faces, balanced, load_faces
from maskedit.training.loop import Kept, decayed, draws, follow, half_precision, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options

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
    return mean_error(net.landmarks(crops.to(next(net.parameters()).device)).cpu(), points)


@torch.no_grad()
def point_sheet(path: Path, net: LandmarkNet, faces: Faces, count: int = 10, size: int = 192) -> None:
    """Random crops with the points that the network finds in them, as a PNG."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    net.eval()
    rows = torch.arange(0, len(faces), max(len(faces) // count, 1))[:count]
    images = faces.images[rows].float() / 255
    crops, _ = loose_crops(images, faces.landmarks[rows], size, draws(0, 0))
    found = net.landmarks(crops.to(next(net.parameters()).device)).cpu() * size
    line = torch.cat(list(crops.permute(0, 2, 3, 1)), 1)
    picture = Pillow.fromarray(line.mul(255).round().byte().numpy())
    pen = ImageDraw.Draw(picture)
    for i, points in enumerate(found.tolist()):
        for x, y in points:
            pen.ellipse([x + i * size - 1, y - 1, x + i * size + 1, y + 1], fill=(0, 255, 0))
    partial = path.with_suffix(".partial")
    picture.save(partial, "PNG")
    partial.replace(path)


@dataclass(frozen=True, kw_only=True)
class LandmarkProtocol(Protocol):
    """The numbers of this training."""

    steps: int = number(2400, "steps in all")
    rate: float = number(2e-3, "learning rate of Adam, falling to zero over the second half")


PRESETS = {"bundled": LandmarkProtocol()}


def main(arguments: list[str] | None = None) -> None:
    protocol, options = read_options(__doc__, PRESETS, arguments, labels=False)
    device = options.device
    torch.manual_seed(protocol.seed)
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    images = faces.resized(128)
    net = LandmarkNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average = deepcopy(net)
    adam = torch.optim.Adam(net.parameters())

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        set_rate(adam, decayed(protocol.rate, i, protocol.steps, final=0.5))
        rows = balanced(faces, 0.4, protocol.batch, random)
        crops, points = loose_crops(images[rows].float() / 255, faces.landmarks[rows], net.size, random)
        crops = degrade(recolour(crops, random), random, smallest=24).to(device, memory_format=torch.channels_last)
        net.train()
        with half_precision(device):
            found = net.landmarks(crops)
        loss = mean_error(found.float(), points.to(device)).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, protocol.average, i)
        return {"loss": loss.detach()}

    def report(done: int) -> None:
        print(f"held-out error after {done}: {held_out_error(average, held_out).mean():.4f}", flush=True)
        point_sheet(options.out / "sheet.png", average, held_out)

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=protocol.steps, out=options.out, batch=protocol.batch, report=report, every=options.every)


if __name__ == "__main__":
    main()
