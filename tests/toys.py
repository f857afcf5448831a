"""An analytic trio for fast tests: every region and attribute of its pictures is known exactly.

A face is a skin-coloured disc before a background, with a mouth: a bar in the disc whose height the latent
says. The parser tells the three by colour alone; the classifier measures the mouth's redness and the
brightness of the skin.
"""

from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maskedit as me
from maskedit.terms import Now, Reads, Scene, Start, View, see_original

BACKGROUND, SKIN, MOUTH = (0.1, 0.2, 0.9), (0.8, 0.7, 0.2), (0.9, 0.1, 0.1)


def logit(colour: Sequence[float]) -> Tensor:
    return torch.tensor(colour, dtype=torch.float64).logit()


class ToyGenerator:
    """Layers: background colour, skin colour, mouth colour; the fourth number of the last is the mouth's height."""

    resolution = 16
    latent_shape = (3, 4)
    noise_shapes = ((4, 4), (8, 8), (16, 16))

    def __init__(self) -> None:
        self.calls = 0

    def synthesize(self, latent: Tensor, noises: Sequence[Tensor]) -> Tensor:
        self.calls += 1
        line = torch.linspace(-1, 1, self.resolution, dtype=latent.dtype, device=latent.device)
        y, x = torch.meshgrid(line, line, indexing="ij")
        colours = latent[:, :, :3].sigmoid()[..., None, None]  # b 3 layers -> b layers 3 1 1
        height = 0.3 + 0.1 * latent[:, 2, 3, None, None, None]
        face = torch.sigmoid((0.8 - (x**2 + y**2).sqrt()) * 20)
        mouth = face * torch.sigmoid((height - (y - 0.2).abs()) * 20) * torch.sigmoid((0.4 - x.abs()) * 20)
        image = colours[:, 0].lerp(colours[:, 1], face.expand(len(latent), 1, -1, -1))
        image = image + mouth * (colours[:, 2] - image)
        for noise in noises:
            image = image + 0.02 * F.interpolate(noise, size=self.resolution, mode="nearest")
        return image


class ToyParser:
    """Softmax of the distance to three colours, at half the size: nearest colour wins."""

    regions = ("background", "skin", "mouth")

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def parse(self, image: Tensor, regions: Sequence[str]) -> Tensor:
        self.calls.append(tuple(regions))
        small = F.avg_pool2d(image, 2)
        colours = small.new_tensor([BACKGROUND, SKIN, MOUTH])
        distance = (small[:, None] - colours[:, :, None, None]).square().sum(2)
        return (-30 * distance).softmax(1)[:, [self.regions.index(name) for name in regions]]


class ToyClassifier:
    """'wearing_lipstick' is the redness of the middle, 'smiling' the width of red, 'pale_skin' brightness."""

    attributes = ("smiling", "wearing_lipstick", "pale_skin")

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def classify(self, image: Tensor, attributes: Sequence[str]) -> Tensor:
        self.calls.append(tuple(attributes))
        red = image[:, 0] - image[:, 1]
        measures = {
            "smiling": 10 * (red[:, 4:12, 5:11].mean((1, 2)) - 0.4),
            "wearing_lipstick": 8 * (red[:, 8:11, 7:9].mean((1, 2)) - 0.5),
            "pale_skin": 10 * (image[:, :, 2:5, 6:10].mean((1, 2, 3)) - 0.5),
        }
        return torch.stack([measures[name] for name in attributes], 1)


class ToyEncoder:
    """Reads the colours where they are pure."""

    def encode(self, image: Tensor) -> Tensor:
        spots = torch.stack([image[:, :, 0, 0], image[:, :, 3, 8], image[:, :, 9, 8]], 1).clamp(0.01, 0.99).logit()
        return torch.cat([spots, torch.zeros_like(spots[..., :1])], 2)


def models(**changes: object) -> me.Models:
    """The trio, with a mean latent and a latent distribution; fields may be replaced."""
    mean = torch.stack([torch.cat([logit(c), torch.zeros(1).double()]) for c in (BACKGROUND, SKIN, MOUTH)])
    generator = torch.Generator().manual_seed(5)
    basis = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))[0].T[:6]
    wider = torch.zeros_like(mean)
    wider[2, 3] = 1.5
    latents = me.LatentDistribution(mean, basis, torch.linspace(1, 0.2, 6, dtype=torch.float64), {"smiling": wider})
    parts = {
        "generator": ToyGenerator(),
        "parser": ToyParser(),
        "classifier": ToyClassifier(),
        "encoder": ToyEncoder(),
        "mean_latent": mean,
        "latents": latents,
    }
    return me.Models(**(parts | changes))


def pictures(
    count: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> Tensor:
    """Pictures that the generator could have made, each of other colours and another mouth."""
    generator = torch.Generator().manual_seed(seed)
    trio = models()
    assert trio.mean_latent is not None
    moved = trio.mean_latent + 0.4 * torch.randn(count, 3, 4, generator=generator, dtype=torch.float64)
    return trio.generator.synthesize(moved, []).clamp(0, 1).to(device, dtype)


def calls(trio: me.Models) -> Counter[str]:
    return Counter(
        generator=trio.generator.calls,  # type: ignore[attr-defined]
        parser=len(trio.parser.calls),  # type: ignore[union-attr]
        classifier=len(trio.classifier.calls),  # type: ignore[union-attr]
    )


def view(count: int = 2, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> View:
    """What a step near the mean latent shows, beside pictures of which every region and attribute is read."""
    trio = models()
    assert trio.mean_latent is not None
    reads = Reads(("skin", "mouth"), ("smiling", "wearing_lipstick"))
    g = torch.Generator().manual_seed(2)
    latent = trio.mean_latent + 0.3 * torch.randn(count, 3, 4, generator=g, dtype=torch.float64)
    noises = [torch.randn(count, 1, *s, generator=g, dtype=torch.float64) for s in trio.generator.noise_shapes]
    latent, *noises = (t.to(device, dtype) for t in (latent, *noises))
    original = see_original(trio, reads, pictures(count, dtype=dtype, device=device))
    grown = torch.zeros_like(original.image[:, :1])
    given = {"latent": latent} | {f"noise.{i}": noise for i, noise in enumerate(noises)}
    return View(Scene(trio, reads, original, Start(given)), given, Now(grown))


def problem(
    count: int = 2, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu", **changes: object
) -> me.Problem:
    """Pictures to smile in."""
    trio = changes.pop("models", None) or models()
    return me.Problem(trio, pictures(count, dtype=dtype, device=device), **{"edit": "smiling", **changes})


def without(**parts: object) -> me.Problem:
    """One picture, with some of the models replaced or taken away."""
    return me.Problem(models(**parts), pictures(1))


def plain() -> me.Schedule:
    """Two steps that keep the skin."""
    return me.Schedule(me.Stage("fit", 2, me.preserve("skin"), vary=me.latent()))


def flat() -> me.LatentDistribution:
    """A distribution without any spread, which is none."""
    return me.LatentDistribution(torch.zeros(3, 4), torch.zeros(2, 12), torch.zeros(2))


def spread(**directions: Tensor) -> me.LatentDistribution:
    """A distribution around zeros, with these directions."""
    return me.LatentDistribution(torch.zeros(3, 4), torch.eye(12)[:2], torch.ones(2), directions)


class Distance(nn.Module):
    """The squared distance of two latents: a loss that needs no picture."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).flatten(1).square().sum(1)
