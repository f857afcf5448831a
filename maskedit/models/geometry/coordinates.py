"""How faces differ in shape, region by region, as coordinates in standard deviations.

Each region has two of place (``x`` to the right, ``y`` downwards), two of size (``width``, ``height``: logarithms of a
factor about its own middle), some that were measured on faces, each with all other measurements held
(``smile``, ``open``, ...), and some principal components of what is left. They were computed from 1,706 faces
(``benchmarks/faces/geometry.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.geometry.mesh import BROWS, EYES, OWN, POINTS, camera, rows

WEIGHTS = Path(__file__).parents[1] / "weights"

REGIONS = ("mouth", "eyebrows", "eyes", "nose")
"""The regions that have coordinates, in the order of their rows."""

PLACES = ("x", "y", "width", "height")
"""The first coordinates of every region."""

MEASURED: Mapping[str, tuple[str, ...]] = {
    "mouth": ("smile", "open", "width_at_rest", "upper_lip", "lower_lip"),
    "eyebrows": ("raised", "tilt", "arch"),
    "eyes": ("open", "apart"),
    "nose": ("wide", "long", "tip"),
}
"""The coordinates that were measured, in their order after ``PLACES``."""

COMPONENTS: Mapping[str, int] = {"mouth": 6, "eyebrows": 3, "eyes": 5, "nose": 5}
"""How many principal components follow."""

SAFE: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "mouth": {"smile": (-3.0, 3.0), "open": (-3.0, 2.0)},
    "eyebrows": {"raised": (-4.0, 4.0), "arch": (-2.0, 1.2)},
    "eyes": {},
    "nose": {},
}
"""Between which values a coordinate folds no face, in deviations; the others may go from -2 to 2."""

SAFE_SIZE: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "mouth": ((0.6, 1.4), (0.6, 1.4)),
    "eyebrows": ((0.8, 1.2), (0.3, 1.5)),
    "eyes": ((0.8, 1.3), (0.2, 1.4)),
    "nose": ((0.7, 1.35), (0.8, 1.25)),
}
"""Between which factors of width and of height a region may grow or shrink alone."""


def parts_of(region: str) -> tuple[tuple[int, ...], ...]:
    """The mesh's numbers of the points of each part of a region, which grow about its own middle each."""
    return {"eyes": EYES, "eyebrows": BROWS}.get(region, (OWN[region],))


def names(region: str) -> tuple[str, ...]:
    """The names of a region's coordinates, in their order."""
    return (*PLACES, *MEASURED[region], *(f"component_{i + 1}" for i in range(COMPONENTS[region])))


LONGEST = max(len(names(region)) for region in REGIONS)
"""The most coordinates that a region has; rows are this long, and their rest means nothing."""


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of shape.

    Args:
        mean: the mean face, seen from the front, in shares of an aligned picture's side; smaller z is nearer.
        directions: region -> what each coordinate but the sizes moves by one deviation, in the mean face's frame.
        deviations: region -> one deviation of the logarithms of its width and height.
    """

    mean: Float[Tensor, "points 3"]
    directions: Mapping[str, Float[Tensor, "coordinates points 3"]]
    deviations: Mapping[str, Float[Tensor, "2"]]

    def size(self, region: str, width: float = 1.0, height: float = 1.0) -> dict[str, float]:
        """The coordinates that make a region's width and height so many times larger."""
        factors = torch.tensor([width, height]).log() / self.deviations[region].cpu()
        return dict(zip(("width", "height"), factors.tolist(), strict=True))

    def rows(self, wanted: Mapping[str, Mapping[str, float]], batch: int = 1) -> Float[Tensor, "batch regions numbers"]:
        """Rows with these coordinates, region -> name -> deviations; the others nothing.

        Raises:
            InputError: if a region has no such coordinate.
        """
        found = torch.zeros(batch, len(REGIONS), LONGEST, device=self.mean.device)
        for region, coordinates in wanted.items():
            if region not in REGIONS:
                raise InputError(f"no coordinates are known of {region!r}", expected=f"one of {', '.join(REGIONS)}")
            for name, value in coordinates.items():
                if name not in names(region):
                    raise InputError(
                        f"the {region} has no coordinate {name!r}", expected=f"one of {', '.join(names(region))}"
                    )
                found[:, REGIONS.index(region), names(region).index(name)] = value
        return found

    def shape(
        self, points: Float[Tensor, "b points 2"], rows: Float[Tensor, "b regions numbers"]
    ) -> Float[Tensor, "b points 2"]:
        """The shape that these rows make of each face's own one."""
        view = camera(points, self.mean)[:, :, :3]
        sized, offsets = points, torch.zeros_like(points)
        for region, row in zip(REGIONS, rows.unbind(1), strict=True):
            factors = (row[:, 2:4] * self.deviations[region]).exp()
            sized = _sized(sized, region, factors)
            own = torch.cat([row[:, :2], row[:, 4 : len(names(region))]], 1)
            solid = torch.einsum("bk,kpc->bpc", own, self.directions[region])
            offsets = offsets + solid @ view.transpose(1, 2)
        return sized + offsets


def bounds(coordinates: Coordinates) -> tuple[Float[Tensor, "regions numbers"], Float[Tensor, "regions numbers"]]:
    """The least and the greatest rows in which no face folds, as long as one coordinate moves alone."""
    low, high = torch.zeros(len(REGIONS), LONGEST), torch.zeros(len(REGIONS), LONGEST)
    for i, region in enumerate(REGIONS):
        for k, name in enumerate(names(region)):
            low[i, k], high[i, k] = SAFE[region].get(name, (-2.0, 2.0))
        limits = torch.tensor(SAFE_SIZE[region]).log() / coordinates.deviations[region].cpu()[:, None]
        low[i, 2:4], high[i, 2:4] = limits.unbind(1)
    return low, high


def _sized(
    points: Float[Tensor, "b points 2"], region: str, factors: Float[Tensor, "b 2"]
) -> Float[Tensor, "b points 2"]:
    """A region's own points wider and higher about its middle; brows thicker about their middle line."""
    points = points.clone()
    for group in parts_of(region):
        own = points[:, rows(group)]
        middle = own.mean(1, keepdim=True)
        if region == "eyebrows":  # lower and upper edge, point by point: the second runs back
            line = (own + own.flip(1)) / 2
            own = line + (own - line) * factors[:, None, 1:]
            factor = torch.stack([factors[:, 0], torch.ones_like(factors[:, 0])], 1)
        else:
            factor = factors
        points[:, rows(group)] = middle + (own - middle) * factor[:, None]
    return points


@cache
def load_coordinates() -> Coordinates:
    """The coordinates that come with maskedit; read once."""
    from safetensors.torch import load_file

    tensors = {key: value.float() for key, value in load_file(WEIGHTS / "geometry.safetensors").items()}
    directions = {}
    for region in REGIONS:
        compact, moving = tensors[f"{region}.directions"], tensors[f"{region}.moving"].long()
        directions[region] = torch.zeros(len(compact), len(POINTS), 3)
        directions[region][:, moving] = compact
    return Coordinates(
        mean=tensors["mean"],
        directions=directions,
        deviations={region: tensors[f"{region}.deviations"] for region in REGIONS},
    )
