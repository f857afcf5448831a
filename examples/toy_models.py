"""Three analytic models for trying things out: they draw, parse and classify a toy head of 32 x 32 pixels.

They are what docs/own/model.md plugs in, and what the other examples run on. A step takes a few milliseconds.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maskedit as me

SIDE = 32
BACKGROUND = (0.25, 0.40, 0.60)
# Each part is an ellipse: its centre and radii, in shares of the picture. Later parts lie over earlier ones.
PARTS = {"hair": (0.50, 0.40, 0.36, 0.34), "skin": (0.50, 0.56, 0.26, 0.32), "mouth": (0.50, 0.74, 0.10, 0.05)}
TYPICAL = {"hair": (0.35, 0.25, 0.15), "skin": (0.85, 0.65, 0.55), "mouth": (0.70, 0.25, 0.30)}  # colours


def ellipse(centre_x: float, centre_y: float, radius_x: float, radius_y: float, size: Tensor | float = 1.0) -> Tensor:
    """How much each pixel lies in the ellipse, in [0, 1]."""
    at = (torch.arange(SIDE) + 0.5) / SIDE
    distance = (((at[None] - centre_x) / radius_x) ** 2 + ((at[:, None] - centre_y) / radius_y) ** 2).sqrt()
    return torch.sigmoid(12 * (size - distance))


class ToyGenerator(nn.Module):
    """A latent has a row for each part: the three numbers of its colour, and one for its size."""

    resolution = SIDE
    latent_shape = (3, 4)
    noise_shapes = ((8, 8), (16, 16), (32, 32))

    def synthesize(self, latent: Tensor, noises: Sequence[Tensor]) -> Tensor:
        image = latent.new_tensor(BACKGROUND).view(1, 3, 1, 1).expand(len(latent), 3, SIDE, SIDE)
        for part, row in zip(PARTS, latent.unbind(dim=1), strict=True):
            covered = ellipse(*PARTS[part], size=row[:, 3].exp().view(-1, 1, 1, 1))
            image = torch.lerp(image, row[:, :3].sigmoid()[..., None, None], covered.to(image))
        for noise in noises:
            image = image + 0.02 * F.interpolate(noise, size=(SIDE, SIDE))
        return image


class ToyParser(nn.Module):
    """Knows where each part usually is, and what colour all but the hair have."""

    regions = ("background", *PARTS)

    def parse(self, image: Tensor, regions: Sequence[str]) -> Tensor:
        likely = {part: ellipse(*where, size=1.15).to(image) for part, where in PARTS.items()}
        likely["background"] = 1 - ellipse(*PARTS["hair"], size=0.85).to(image)
        scores = []
        for region in self.regions:
            colour = image.new_tensor({**TYPICAL, "background": BACKGROUND}[region]).view(1, 3, 1, 1)
            strange = (image - colour).square().sum(dim=1) if region != "hair" else image.new_tensor(0.1)
            scores.append(likely[region].clamp_min(1e-6).log() - 30 * strange.expand(len(image), SIDE, SIDE))
        shown = torch.stack(scores, dim=1).softmax(dim=1)
        return shown[:, [self.regions.index(region) for region in regions]]


class ToyClassifier(nn.Module):
    """Hair is blond if the top of the head is yellow; a mouth with lipstick is red."""

    attributes = ("blond_hair", "wearing_lipstick")

    def classify(self, image: Tensor, attributes: Sequence[str]) -> Tensor:
        top, mouth = (image[..., rows, 12:20].mean(dim=(2, 3)) for rows in (slice(3, 8), slice(22, 26)))
        logits = {
            "blond_hair": 10 * (top[:, 0] + top[:, 1] - top[:, 2] - 0.7),
            "wearing_lipstick": 20 * (mouth[:, 0] - mouth[:, 1] - 0.45),
        }
        return torch.stack([logits[name] for name in attributes], dim=1)


def toy_models() -> me.Models:
    """The trio, with the mean latent and the distribution around it."""
    rows = [[*torch.tensor(TYPICAL[part]).logit().tolist(), 0.0] for part in PARTS]
    mean = torch.tensor(rows)
    spread = me.LatentDistribution(mean=mean, components=torch.eye(12), deviations=torch.full((12,), 0.7))
    return me.Models(ToyGenerator(), ToyParser(), ToyClassifier(), mean_latent=mean, latents=spread)


def toy_photos(count: int = 1, *, seed: int = 0) -> Tensor:
    """Pictures ``[count, 3, 32, 32]`` of random heads, each with a lamp behind it that no latent can draw."""
    models, generator = toy_models(), torch.Generator().manual_seed(seed)
    scale = torch.tensor([0.3, 0.3, 0.3, 0.1])
    latent = models.mean_latent + scale * torch.randn(count, 3, 4, generator=generator)
    noises = [torch.randn(count, 1, *shape, generator=generator) for shape in models.generator.noise_shapes]
    lamp = 0.3 * ellipse(0.08, 0.10, 0.10, 0.10)
    return (models.generator.synthesize(latent, noises) + lamp).clamp(0, 1)
