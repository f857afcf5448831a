"""Attributes by measurement: numbers of a photo with landmarks and regions, and what they say."""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.training.colour import lab
from maskedit.training.polygons import Frame, inside

MEASURES = (
    *("hair_L", "hair_a", "hair_b", "skin_L", "skin_a", "skin_b", "hair_area"),
    *(
        "mouth_open",
        "smile",
        "nose_width",
        "nose_slenderness",
        "eye_height",
        "brow_arch",
        "brow_bush",
        "lip_red",
        "strands",
    ),
)
"""Names of the columns of ``Labels.measures``; lengths are in eye distances, colours in Lab."""


def measure(
    image: Float[Tensor, "3 h w"], landmarks: Float[Tensor, "68 2"], regions: UInt8[Tensor, "h w"]
) -> list[float]:
    """The numbers of ``MEASURES`` for one photo with its region map."""
    p = Frame(landmarks).to(landmarks)
    colours = lab(image[None])[0]

    def median(where: Bool[Tensor, "h w"]) -> Float[Tensor, " 3"]:
        return colours[:, where].median(1).values if where.any() else torch.zeros(3)

    hair_pixels = regions == REGIONS.index("hair")
    hair, skin = median(hair_pixels), median(regions == REGIONS.index("skin"))

    def between(a: int, b: int) -> float:
        return float((p[a] - p[b]).norm())

    opening = (between(61, 67) + between(62, 66) + between(63, 65)) / 3
    lift = float((p[51, 1] + p[57, 1]) / 2 - (p[48, 1] + p[54, 1]) / 2)
    eyes = [(between(a + 1, a + 5) + between(a + 2, a + 4)) / (2 * between(a, a + 3)) for a in (36, 42)]
    arches = [float((p[a, 1] + p[a + 4, 1]) / 2 - p[a + 2, 1]) / between(a, a + 4) for a in (17, 22)]

    # Dark pixels in a band along each brow, as an area.
    size = image.shape[-1]
    frame = Frame(landmarks)
    band = torch.zeros(size, size, dtype=torch.bool)
    for rows in (p[17:22], p[22:27]):
        polygon = torch.cat([rows - rows.new_tensor([0, 0.1]), (rows + rows.new_tensor([0, 0.15])).flip(0)])
        band |= inside(frame.back(polygon), size)
    darker = ((skin[0] - colours[0]) / 25).clamp(0, 1)[band].sum() / (size * frame.unit) ** 2

    lips = inside(landmarks[48:60], size) & ~inside(landmarks[60:68], size)
    redder = median(lips) - skin
    return [
        *hair.tolist(),
        *skin.tolist(),
        float(hair_pixels.float().mean()),
        opening,
        between(48, 54) + 1.5 * lift,
        between(31, 35),
        between(27, 33) / between(31, 35),
        sum(eyes) / 2,
        sum(arches) / 2,
        float(darker),
        float(redder[1]),
        strands(colours[0], hair_pixels),
    ]


def strands(lightness: Float[Tensor, "h w"], hair: Bool[Tensor, "h w"]) -> float:
    """How parallel strands of hair lie: the coherence of the structure tensor, weighted by its energy, in [0, 1]."""
    from scipy.ndimage import binary_erosion, gaussian_filter, sobel

    inner = binary_erosion(hair.numpy(), iterations=max(len(hair) // 64, 1))
    if inner.sum() < 50:
        return 0.0
    x, y = sobel(lightness.numpy(), 1), sobel(lightness.numpy(), 0)
    xx, yy, xy = (gaussian_filter(a, len(hair) / 64) for a in (x * x, y * y, x * y))
    return float(np.hypot(xx - yy, 2 * xy)[inner].sum() / ((xx + yy)[inner].sum() + 1e-6))


def hair_colours(colour: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """How clearly hair of these Lab colours is blond, brown, black or gray (``HAIR_COLOURS``), in Lab units."""
    light, chroma = colour[:, 0], colour[:, 1:].norm(dim=1)
    hue = torch.atan2(colour[:, 2], colour[:, 1]) * (180 / torch.pi)
    natural = torch.minimum(hue - 25, 100 - hue) * chroma / 57  # distance to hair's usual hues, about in Lab units
    blond = torch.stack([light - 46, chroma - 15, torch.minimum(hue - 55, 95 - hue) * chroma / 57])
    brown = torch.stack([light - 17, 44 - light, chroma - 8, natural])
    black = torch.stack([19 - light, 15 - chroma])
    gray = torch.stack([light - 34, 9.5 - chroma])
    return torch.stack([kind.min(0).values for kind in (blond, brown, black, gray)], 1)


MEASURED = {
    "wearing_lipstick": ("lip_red", 9.0, 15.0),
    "smiling": ("smile", 0.955, 1.095),
    "mouth_slightly_open": ("mouth_open", 0.07, 0.115),
    "bushy_eyebrows": ("brow_bush", 0.095, 0.13),
    "arched_eyebrows": ("brow_arch", 0.145, 0.168),
    "pointy_nose": ("nose_slenderness", 1.80, 1.97),
    "big_nose": ("nose_width", 0.382, 0.402),
    "narrow_eyes": ("eye_height", 0.299, 0.280),
    "straight_hair": ("strands", 0.77, 0.84),
    "wavy_hair": ("strands", 0.77, 0.70),
}
"""Attributes by one measure: absent up to the first value, present from the second on, unlabelled between them.

The values leave out a fourth to a third of the photos; contact sheets of both ends were looked at.
"""


def ends(values: Float[Tensor, " n"], absent: float, present: float) -> Float[Tensor, " n"]:
    """1 where a measure says that an attribute is there, 0 where it says not, NaN between the two limits."""
    sign = 1.0 if present > absent else -1.0
    unsure = torch.full_like(values, torch.nan)
    return unsure.where(values * sign > absent * sign, 0.0).where(values * sign < present * sign, 1.0)


def hair_ends(colour: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """The same for the four hair colours."""
    return torch.stack([ends(margin, -3.0, 2.0) for margin in hair_colours(colour).unbind(1)], 1)
