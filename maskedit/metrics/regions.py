"""How well two maps of regions agree."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from maskedit.errors import InputError


def intersection_over_union(
    found: Integer[Tensor, "n h w"], right: Integer[Tensor, "n h w"], regions: int
) -> Float[Tensor, " regions"]:
    """Intersection over union of each region, over all pixels of all maps (the Jaccard index).

    Args:
        found: the index of each pixel's region.
        right: what it should be.
        regions: how many regions there are.

    Returns:
        ``[regions]``, in [0, 1]; NaN for a region that is in neither.

    Raises:
        InputError: if an index is not that of a region.
    """
    for maps in (found, right):
        if maps.numel() and not (0 <= int(maps.min()) and int(maps.max()) < regions):
            raise InputError(
                "a map has a region that is not there",
                expected=f"0 to {regions - 1}",
                actual=f"{int(maps.min())} to {int(maps.max())}",
            )
    pairs = [(found == region, right == region) for region in range(regions)]
    return torch.stack([(a & b).sum() / (a | b).sum() for a, b in pairs])
