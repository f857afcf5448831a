"""Regions by measurement: from landmarks and colours.

Mouth, eyes, brows and nose are polygons of the landmarks. Skin, hair, ears, background and what is below the face come
from where each usually is, and from Gaussians in Lab colour fitted to each picture by expectation maximisation.
"""

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.training.colour import lab
from maskedit.training.polygons import Frame, masks

# Gaussians: two of skin, two of hair, three of background, three of clothes.
OWNERS = {"skin": (0, 1), "hair": (2, 3), "background": (4, 5, 6), "below_face": (7, 8, 9, 0, 1), "ears": (0, 1)}
AREAS = tuple(OWNERS)
GAUSSIANS = 10


def usual_places(points: Float[Tensor, "68 2"], size: int) -> Float[Tensor, "areas size size"]:
    """How likely each of ``AREAS`` is at each pixel before its colour is seen."""
    from scipy.ndimage import distance_transform_edt

    frame = Frame(points)
    at = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(at, at, indexing="ij")
    u, v = frame.to(torch.stack([x, y], 2)).unbind(2)
    p = frame.to(points)
    face = masks(points, size)["face"].numpy()
    away = torch.from_numpy(distance_transform_edt(~face) - distance_transform_edt(face)).float() / size / frame.unit

    def step(x: Tensor, width: float) -> Tensor:
        return torch.sigmoid(x / width)

    jaw = p[4:13, 1].mean()  # the lower jaw's mean height
    low = step(v - jaw, 0.12)
    temple = p[[17, 26], 1].mean()
    forehead = step(temple - v, 0.12)
    # Within the face: skin, but near its upper border perhaps hair.
    skin = step(-away, 0.05) * (1 - 0.5 * forehead * step(away + 0.35, 0.1)) + 0.15 * step(0.12 - away, 0.04)
    skin = skin + 0.4 * forehead * step(0.3 - away, 0.06)
    beside = step(u.abs() - (p[16, 0] - p[0, 0]) / 2 + 0.1, 0.06)
    near = step(0.35 - away, 0.1) + 0.25 * step(0.9 - away, 0.15)
    above = step(0.1 - v, 0.15)
    hair = step(away + 0.25 * forehead, 0.05) * near * (above + 0.35 * beside * step(2.2 - v, 0.2)) + 0.02 * forehead
    shoulder = 1.55 + 0.25 * (u.abs() - 1).clamp(min=0)
    below = step(away, 0.05) * (low * step(1.0 - u.abs(), 0.15) + step(v - shoulder, 0.25)) * step(v - 0.9, 0.1)
    background = (
        step(away - 0.2, 0.1) * (0.4 + 0.6 * step(away - 0.6, 0.2)) * (1 - 0.85 * step(v - shoulder - 0.5, 0.3))
    )
    background = background + 0.03 * step(away, 0.05)
    ears = torch.zeros_like(u)
    for side, rows in ((-1, p[0:3]), (1, p[14:17])):
        middle = rows.mean(0)
        du, dv = (u - middle[0]) * side - 0.09, v - middle[1] + 0.05
        ears += 0.7 * torch.exp(-((du / 0.11) ** 4) - ((dv / 0.36) ** 4))
    ears = ears * step(away + 0.01, 0.02)
    places = {"skin": skin, "hair": hair, "background": background, "below_face": below, "ears": ears}
    stacked = torch.stack([places[area] for area in AREAS]) + 1e-4
    return stacked / stacked.sum(0)


def log_gaussian(
    colours: Float[Tensor, "b n 3"], mean: Float[Tensor, "b k 3"], covariance: Float[Tensor, "b k 3 3"]
) -> Float[Tensor, "b k n"]:
    """Log densities, up to a constant."""
    factor = torch.linalg.cholesky(covariance)
    apart = (colours[:, None] - mean[:, :, None]).transpose(2, 3)
    white = torch.linalg.solve_triangular(factor, apart, upper=False)
    return -0.5 * white.square().sum(2) - torch.diagonal(factor, dim1=2, dim2=3).log().sum(2)[..., None]


def areas(
    images: Float[Tensor, "b 3 h w"], landmarks: Float[Tensor, "b 68 2"], rounds: int = 12
) -> Float[Tensor, "b areas h w"]:
    """Probabilities of ``AREAS``, by expectation maximisation on each picture's colours.

    Args:
        images: RGB in [0, 1].
        landmarks: the 68 points as fractions of the side.
        rounds: of expectation and maximisation.
    """
    b, _, size, _ = images.shape
    rng = torch.Generator().manual_seed(0)
    places = torch.stack([usual_places(points, size) for points in landmarks])
    drawn = torch.stack([sum_masks(points, size) for points in landmarks])  # the features' colours are not the skin's

    colours = lab(images)
    small = rearrange(F.avg_pool2d(colours, 2), "b c h w -> b (h w) c")
    near = rearrange(F.avg_pool2d(places, 2), "b a h w -> b a (h w)")
    counts = 1 - rearrange(F.max_pool2d(drawn.float()[:, None], 2), "b 1 h w -> b (h w)")

    # Gaussians start as random pixels of their area; each belongs to one area, but skin is shared.
    weight = torch.zeros(b, len(AREAS), GAUSSIANS)
    for area, owners in enumerate(OWNERS.values()):
        weight[:, area, list(owners)] = 1 / len(owners)
    mean = torch.zeros(b, GAUSSIANS, 3)
    for name in ("skin", "hair", "background", "below_face"):
        own = [g for g in OWNERS[name] if name == "skin" or g > 1]
        sure = (near[:, AREAS.index(name)] * counts) ** 6
        rows = torch.multinomial(sure + 1e-9, 64 * len(own), replacement=True, generator=rng)
        picked = small.gather(1, rows[..., None].expand(-1, -1, 3)).sort(1).values  # spread the starts over lightness
        mean[:, own] = reduce(picked, "b (g n) c -> b g c", "mean", n=64)
    covariance = torch.eye(3).mul(150.0).expand(b, GAUSSIANS, 3, 3).clone()
    for _ in range(rounds):
        density = log_gaussian(small, mean, covariance)  # b g n
        joint = near.log()[:, :, None] + (weight + 1e-9).log()[..., None] + density[:, None]  # b a g n
        share = joint.flatten(1, 2).softmax(1).view_as(joint) * counts[:, None, None]
        weight = share.sum(3) / share.sum((2, 3))[..., None].clamp(min=1e-6)
        mass = share.sum(1)  # b g n
        total = mass.sum(2).clamp(min=1e-3)
        mean = einsum(mass, small, "b g n, b n c -> b g c") / total[..., None]
        apart = small[:, None] - mean[:, :, None]
        covariance = einsum(mass, apart, apart, "b g n, b g n c, b g n d -> b g c d") / total[..., None, None]
        # Pull towards a round Gaussian, so that none can shrink onto a handful of pixels.
        some = (40 / (40 + total))[..., None, None]
        covariance = (1 - some) * covariance + some * 100 * torch.eye(3) + 8 * torch.eye(3)
    density = log_gaussian(rearrange(colours, "b c h w -> b (h w) c"), mean, covariance)
    by_area = torch.logsumexp((weight + 1e-9).log()[..., None] + density[:, None], 2)
    by_area = rearrange(by_area, "b a (h w) -> b a h w", h=size)
    return smooth((places.log() + 0.7 * by_area).softmax(1), images)


def sum_masks(points: Float[Tensor, "68 2"], size: int) -> Bool[Tensor, "size size"]:
    """Mouth, eyes, brows and nose together."""
    drawn = masks(points, size)
    return drawn["mouth"] | drawn["eyes"] | drawn["eyebrows"] | drawn["nose"]


def smooth(chances: Float[Tensor, "b areas h w"], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b areas h w"]:
    """The same, without specks: averaged over neighbours of like colour (guided filter)."""
    from kornia.filters import guided_blur

    filtered = guided_blur(images, chances, 9, 1e-3).clamp(min=1e-6)
    return filtered / filtered.sum(1, keepdim=True)


def measured_regions(images: Float[Tensor, "b 3 h w"], landmarks: Float[Tensor, "b 68 2"]) -> UInt8[Tensor, "b h w"]:
    """The region of each pixel, as an index into ``REGIONS``."""
    from scipy.ndimage import label

    size = images.shape[-1]
    best = areas(images, landmarks).argmax(1)
    for one in best:  # hair hangs together; what is apart from it was alike in colour only
        parts, count = label((one == AREAS.index("hair")).numpy())
        if count > 1:
            sizes = np.bincount(parts.ravel())
            stray = torch.from_numpy(np.isin(parts, np.flatnonzero(sizes < 0.1 * sizes[1:].max())))
            one[stray & (one == AREAS.index("hair"))] = AREAS.index("background")
    named = torch.tensor([REGIONS.index(area) for area in AREAS], dtype=torch.uint8)[best]
    for i, points in enumerate(landmarks):
        drawn = masks(points, size)
        for name in ("nose", "eyebrows", "eyes", "mouth"):
            named[i][drawn[name]] = REGIONS.index(name)
    return named
