"""Labels by measurement: regions from landmarks and colours, attributes from both.

No person drew these labels and no foreign model made them, apart from the 68 landmarks. Mouth, eyes, brows and nose
are polygons of the landmarks. Skin, hair, ears, background and what is below the face come from where each usually
is, and from Gaussians in Lab colour fitted to each picture by expectation maximisation.

``python -m maskedit.training.labels --faces FOLDER --out LABELS`` writes ``regions.npz`` and ``attributes.csv``.
"""

import argparse
import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.errors import InputError
from maskedit.training.augment import region_mask
from maskedit.training.colour import dye, lab
from maskedit.training.faces import Faces, load_faces

SIZE = 128
"""Side of the region maps."""

# Gaussians: two of skin, two of hair, three of background, three of clothes.
OWNERS = {"skin": (0, 1), "hair": (2, 3), "background": (4, 5, 6), "below_face": (7, 8, 9, 0, 1), "ears": (0, 1)}
AREAS = tuple(OWNERS)
GAUSSIANS = 10


def inside(polygon: Float[Tensor, "n 2"], size: int) -> Bool[Tensor, "size size"]:
    """Pixels whose middle lies in a polygon of (x, y) fractions of the side."""
    at = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(at, at, indexing="ij")
    within = torch.zeros(size, size, dtype=torch.bool)
    for (x0, y0), (x1, y1) in zip(polygon.tolist(), polygon.roll(-1, 0).tolist(), strict=True):
        if y0 != y1:
            within ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return within


class Frame:
    """Coordinates fixed to a face: origin between the eyes, one unit their distance, u to the right, v downwards."""

    def __init__(self, points: Float[Tensor, "68 2"]) -> None:
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        self.origin, self.unit = (left + right) / 2, (right - left).norm()
        u = (right - left) / self.unit
        self.axes = torch.stack([u, torch.stack([-u[1], u[0]])])

    def to(self, positions: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        return (positions - self.origin) @ self.axes.T / self.unit

    def back(self, positions: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        return positions @ self.axes * self.unit + self.origin


def features(points: Float[Tensor, "68 2"]) -> Mapping[str, list[Float[Tensor, "_ 2"]]]:
    """Polygons of mouth, eyes, brows and nose, and of the ``face`` up to an assumed hairline."""
    frame = Frame(points)
    p = frame.to(points)

    def shifted(rows: Tensor, u: float, v: float) -> Tensor:
        return rows + rows.new_tensor([u, v])

    def swollen(rows: Tensor, by: float) -> Tensor:
        middle = rows.mean(0)
        return rows + F.normalize(rows - middle, dim=1) * by

    def brow(rows: Tensor) -> Tensor:
        return torch.cat([shifted(rows, 0.0, -0.035), shifted(rows, 0.0, 0.085).flip(0)])

    nose = torch.stack(
        [
            p[27] + p.new_tensor([-0.1, 0.0]),
            p[29] + p.new_tensor([-0.17, 0.0]),
            p[31] + p.new_tensor([-0.13, -0.1]),
            p[31] + p.new_tensor([-0.08, 0.03]),
            p[33] + p.new_tensor([0.0, 0.05]),
            p[35] + p.new_tensor([0.08, 0.03]),
            p[35] + p.new_tensor([0.13, -0.1]),
            p[29] + p.new_tensor([0.17, 0.0]),
            p[27] + p.new_tensor([0.1, 0.0]),
        ]
    )
    # The forehead is about as high as the nose is long: half an ellipse from temple to temple.
    brows = p[17:27, 1].mean()
    top = brows - 0.85 * (p[33, 1] - brows)
    middle, half = (p[0] + p[16]) / 2, (p[16] - p[0]) / 2
    turn = torch.linspace(0, torch.pi, 17)
    arch = middle + turn.cos()[:, None] * half + torch.stack([torch.zeros(17), turn.sin() * (top - middle[1])], 1)
    polygons = {
        "mouth": [swollen(p[48:60], 0.02)],
        "eyes": [swollen(p[36:42], 0.035), swollen(p[42:48], 0.035)],
        "eyebrows": [brow(p[17:22]), brow(p[22:27])],
        "nose": [nose],
        "face": [torch.cat([p[:17], arch])],
    }
    return {name: [frame.back(polygon) for polygon in group] for name, group in polygons.items()}


def masks(points: Float[Tensor, "68 2"], size: int) -> dict[str, Bool[Tensor, "size size"]]:
    """The polygons of :func:`features`, filled."""
    return {
        name: torch.stack([inside(polygon, size) for polygon in group]).any(0)
        for name, group in features(points).items()
    }


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
    random = torch.Generator().manual_seed(0)
    places = torch.stack([usual_places(points, size) for points in landmarks])
    drawn = torch.stack([sum_masks(points, size) for points in landmarks])  # the features' colours are not the skin's

    colours = lab(images)
    small = F.avg_pool2d(colours, 2).flatten(2).transpose(1, 2)
    near = F.avg_pool2d(places, 2).flatten(2)
    counts = 1 - F.max_pool2d(drawn.float()[:, None], 2).flatten(1)

    # Gaussians start as random pixels of their area; each belongs to one area, but skin is shared.
    weight = torch.zeros(b, len(AREAS), GAUSSIANS)
    for area, owners in enumerate(OWNERS.values()):
        weight[:, area, list(owners)] = 1 / len(owners)
    mean = torch.zeros(b, GAUSSIANS, 3)
    for name in ("skin", "hair", "background", "below_face"):
        own = [g for g in OWNERS[name] if name == "skin" or g > 1]
        sure = (near[:, AREAS.index(name)] * counts) ** 6
        rows = torch.multinomial(sure + 1e-9, 64 * len(own), replacement=True, generator=random)
        picked = small.gather(1, rows[..., None].expand(-1, -1, 3)).sort(1).values  # spread the starts over lightness
        mean[:, own] = picked.unflatten(1, (len(own), 64)).mean(2)
    covariance = torch.eye(3).mul(150.0).expand(b, GAUSSIANS, 3, 3).clone()
    for _ in range(rounds):
        density = log_gaussian(small, mean, covariance)  # b g n
        joint = near.log()[:, :, None] + (weight + 1e-9).log()[..., None] + density[:, None]  # b a g n
        share = joint.flatten(1, 2).softmax(1).view_as(joint) * counts[:, None, None]
        weight = share.sum(3) / share.sum((2, 3))[..., None].clamp(min=1e-6)
        mass = share.sum(1)  # b g n
        total = mass.sum(2).clamp(min=1e-3)
        mean = torch.einsum("bgn,bnc->bgc", mass, small) / total[..., None]
        apart = small[:, None] - mean[:, :, None]
        covariance = torch.einsum("bgn,bgnc,bgnd->bgcd", mass, apart, apart) / total[..., None, None]
        # Pull towards a round Gaussian, so that none can shrink onto a handful of pixels.
        some = (40 / (40 + total))[..., None, None]
        covariance = (1 - some) * covariance + some * 100 * torch.eye(3) + 8 * torch.eye(3)
    density = log_gaussian(colours.flatten(2).transpose(1, 2), mean, covariance)
    by_area = torch.logsumexp((weight + 1e-9).log()[..., None] + density[:, None], 2).unflatten(2, (size, size))
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


def regions(images: Float[Tensor, "b 3 h w"], landmarks: Float[Tensor, "b 68 2"]) -> UInt8[Tensor, "b h w"]:
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


@dataclass(frozen=True)
class Labels:
    """What :func:`main` wrote about some photos.

    Args:
        regions: index into ``REGIONS`` of each pixel.
        hair: typical Lab colour of each head of hair.
        dyeable: whether there is hair enough, of another colour than the skin, for that to mean something.
        measures: the numbers that attributes are ranked by, one column for each of ``MEASURES``.
    """

    regions: UInt8[Tensor, "n size size"]
    hair: Float[Tensor, "n 3"]
    dyeable: Bool[Tensor, " n"]
    measures: Float[Tensor, "n measures"]

    def dyed(
        self, images: Float[Tensor, "b 3 h w"], rows: Int64[Tensor, " b"], share: float, random: torch.Generator
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3"]]:
        """Pictures of these rows, a ``share`` of them with another person's hair colour, blond as often as brown.

        Returns:
            The pictures, and the Lab colour of the hair in each.
        """
        kinds = hair_colours(self.hair) > 0
        kinds = torch.cat([kinds, ~kinds.any(1, keepdim=True)], 1) & self.dyeable[:, None]
        likely = (kinds / kinds.sum(0).clamp(min=1)).sum(1)
        donors = torch.multinomial(likely, len(rows), replacement=True, generator=random)
        chosen = self.dyeable[rows] & (torch.rand(len(rows), generator=random) < share)
        now = torch.where(chosen[:, None], self.hair[donors], self.hair[rows])
        hair = F.interpolate(region_mask(self.regions[rows], ["hair"]), size=images.shape[-1])
        images = images.clone()
        if chosen.any():
            images[chosen] = dye(images[chosen], hair[chosen], self.hair[rows][chosen], now[chosen])
        return images, now


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
"""Names of the columns of :attr:`Labels.measures`; lengths are in eye distances, colours in Lab."""


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


def label(images: UInt8[Tensor, "n 3 h w"], landmarks: Float[Tensor, "n 68 2"]) -> Labels:
    """Measure some photos."""
    photos = images.float() / 255
    maps = regions(photos, landmarks)
    rows = [measure(*one) for one in zip(photos, landmarks, maps, strict=True)]
    return labels_from(maps, torch.tensor(rows))


def labels_from(maps: UInt8[Tensor, "n size size"], measures: Float[Tensor, "n measures"]) -> Labels:
    """The labels that follow from region maps and measures."""
    hair, skin, area = measures[:, 0:3], measures[:, 3:6], measures[:, 6]
    dyeable = (area > 0.05) & ((hair - skin).norm(dim=1) > 14)
    return Labels(regions=maps, hair=hair, dyeable=dyeable, measures=measures)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--out", type=Path, required=True, help="folder for regions.npz and measures.csv")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    faces = load_faces(options.faces, "all")
    images, done = faces.resized(SIZE), []
    for start in range(0, len(faces), 16):
        done.append(label(images[start : start + 16], faces.landmarks[start : start + 16]))
        print(f"{min(start + 16, len(faces))} of {len(faces)} photos", flush=True)
    maps, measures = (torch.cat([getattr(part, name) for part in done]) for name in ("regions", "measures"))
    np.savez_compressed(options.out / "regions.npz", names=np.array(faces.names), regions=maps.numpy())
    with (options.out / "measures.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", *MEASURES])
        rows = zip(faces.names, measures.tolist(), strict=True)
        table.writerows([name, *(f"{x:.4g}" for x in row)] for name, row in rows)


def load_labels(folder: Path, faces: Faces) -> Labels:
    """What :func:`main` wrote, for these photos in their order.

    Raises:
        InputError: if the folder has no labels, or not those of all photos.
    """
    for name in ("regions.npz", "measures.csv"):
        if not (folder / name).is_file():
            hint = "python -m maskedit.training.labels --faces FACES --out LABELS makes them."
            raise InputError(f"there is no {folder / name}", expected="regions.npz and measures.csv", hint=hint)
    with (folder / "measures.csv").open(newline="") as file:
        table = {row["file"]: [float(row[name]) for name in MEASURES] for row in csv.DictReader(file)}
    with np.load(folder / "regions.npz") as arrays:
        place = {str(name): i for i, name in enumerate(arrays["names"])}
        without = [name for name in faces.names if name not in place or name not in table]
        if without:
            raise InputError(
                f"{folder} has labels of other photos",
                expected=f"{without[0]!r} and {len(without) - 1} more among them",
            )
        maps = torch.from_numpy(arrays["regions"][[place[name] for name in faces.names]])
    return labels_from(maps, torch.tensor([table[name] for name in faces.names]))


if __name__ == "__main__":
    main()
