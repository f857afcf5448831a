"""Winograd's F(4x4, 3x3): convolutions of 3x3 with a quarter of the multiplications, for frozen weights on a CPU.

Tiles of 4x4 results are polynomials multiplied at six points along each axis (Lavin and Gray 2016):
``A^T [(G w G^T) * (B^T x B)] A`` for each tile and pair of channels, summed over input channels by 36 matrix products.
The points 0, +-3/4, +-3/2 and infinity keep the rounding error of float32 to about five times the direct sum's; with
the usual 0, +-1, +-2 it is ten times.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

TILE = 4
REACH = TILE + 2
"""Side of what a tile of results is computed from."""

TILES = 512
"""How many tiles are worked on at a time, so that what is between the products stays in the processor's cache."""

_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """B^T ``[6, 6]``, G ``[6, 3]`` and A^T ``[4, 6]`` of Cook and Toom for ``_POINTS`` and infinity."""
    inputs, weights, results = (np.zeros(shape) for shape in ((6, 6), (6, 3), (4, 6)))
    for i, point in enumerate(_POINTS):
        others = [other for other in _POINTS if other != point]
        inputs[i, :5] = _expanded(others)
        weights[i] = np.power(point, range(3)) / math.prod(point - other for other in others)
        results[:, i] = np.power(point, range(4))
    inputs[5], weights[5, 2], results[3, 5] = _expanded(_POINTS), 1, 1
    return torch.from_numpy(inputs), torch.from_numpy(weights), torch.from_numpy(results)


def _expanded(roots: Sequence[float]) -> np.ndarray:
    """Coefficients of the product of all ``x - root``, the constant's first."""
    return np.poly(roots)[::-1]


_B, _G, _A = _matrices()
_TO_POINTS, _FROM_POINTS = torch.kron(_B, _B), torch.kron(_A, _A)


def at_points(weight: Float[Tensor, "outputs inputs 3 3"]) -> Float[Tensor, "36 inputs outputs"]:
    """The weights as :func:`conv` and :func:`conv_adjoint` take them: four times as many numbers."""
    values = torch.einsum("xa,yb,oiab->xyio", _G, _G, weight.double())
    return values.flatten(0, 1).to(weight.dtype).contiguous()


def conv(
    x: Float[Tensor, "b inputs h w"], weight: Float[Tensor, "36 inputs outputs"]
) -> Float[Tensor, "b outputs h w"]:
    """``conv2d(x, w, padding=1)``, with channels last; height and width are multiples of 4.

    Args:
        x: features.
        weight: ``at_points(w)``.
    """
    b, _, height, width = x.shape
    to_points, from_points = _TO_POINTS.to(x), _FROM_POINTS.to(x)
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    out = x.new_empty(b, height // TILE, TILE, width // TILE, TILE, weight.shape[2])
    for image, rows in _parts(out):
        tiles = _windows(padded[image], rows).reshape(REACH**2, -1)
        products = torch.bmm((to_points @ tiles).view(REACH**2, -1, weight.shape[1]), weight)
        results = (from_points @ products.view(REACH**2, -1)).view(TILE, TILE, -1, width // TILE, weight.shape[2])
        out[image, rows] = results.permute(2, 0, 3, 1, 4)
    return out.view(b, height, width, -1).permute(0, 3, 1, 2)


def conv_adjoint(
    gradient: Float[Tensor, "b outputs h w"], weight: Float[Tensor, "36 inputs outputs"]
) -> Float[Tensor, "b inputs h w"]:
    """The gradient of ``x`` in :func:`conv`, from that of its result."""
    b, _, height, width = gradient.shape
    to_points, from_points = _TO_POINTS.to(gradient), _FROM_POINTS.to(gradient)
    given = gradient.permute(0, 2, 3, 1).unflatten(1, (-1, TILE)).unflatten(3, (-1, TILE))
    of_padded = gradient.new_zeros(b, height + 2, width + 2, weight.shape[1])
    for image, rows in _parts(given):
        results = given[image, rows].permute(1, 3, 0, 2, 4).reshape(TILE**2, -1)
        products = (from_points.mT @ results).view(REACH**2, -1, weight.shape[2])
        tiles = to_points.mT @ torch.bmm(products, weight.mT).view(REACH**2, -1)
        tiles = tiles.view(REACH, REACH, -1, width // TILE, weight.shape[1])
        for down in (slice(0, TILE), slice(TILE, REACH)):  # within these, no two windows overlap
            for right in (slice(0, TILE), slice(TILE, REACH)):
                _windows(of_padded[image], rows)[down, right] += tiles[down, right]
    return of_padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def _parts(tiles: Float[Tensor, "b rows _ columns _ channels"]) -> Iterator[tuple[int, slice]]:
    """An image and so many rows of its tiles as make TILES tiles, or one row."""
    step = max(1, TILES // tiles.shape[3])
    for image in range(len(tiles)):
        for start in range(0, tiles.shape[1], step):
            yield image, slice(start, start + step)


def _windows(padded: Float[Tensor, "h w channels"], rows: slice) -> Float[Tensor, "6 6 rows columns channels"]:
    """The overlapping windows that these rows of tiles are computed from; a view."""
    down, right, _ = padded.stride()
    count = len(range(*rows.indices((padded.shape[0] - 2) // TILE)))
    size = (REACH, REACH, count, (padded.shape[1] - 2) // TILE, padded.shape[2])
    stride = (down, right, TILE * down, TILE * right, 1)
    return padded[rows.start * TILE :].as_strided(size, stride)
