"""Intersection over union by hand, and against its definition."""

import pytest
import torch

from maskedit.errors import InputError
from maskedit.metrics import intersection_over_union


def test_overlap_of_small_maps_by_hand() -> None:
    found = torch.tensor([[[0, 0, 1], [2, 2, 2]]])
    right = torch.tensor([[[0, 1, 1], [2, 2, 0]]])
    shares = intersection_over_union(found, right, 4)
    assert shares[:3].tolist() == pytest.approx([1 / 3, 1 / 2, 2 / 3])
    assert shares[3].isnan()


def test_it_is_of_all_pixels_of_all_maps_and_symmetric() -> None:
    found, right = torch.randint(3, (2, 4, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    shares = intersection_over_union(found, right, 3)
    torch.testing.assert_close(shares, intersection_over_union(found.view(1, 32, 8), right.view(1, 32, 8), 3))
    torch.testing.assert_close(shares, intersection_over_union(right, found, 3))
    assert intersection_over_union(found, found, 3).tolist() == [1, 1, 1]


def test_indices_of_no_region_are_refused() -> None:
    maps = torch.full((1, 2, 2), 3)
    with pytest.raises(InputError, match="expected 0 to 2; got 3 to 3"):
        intersection_over_union(maps, maps, 3)
