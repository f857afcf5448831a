"""Flows: they land points, come back, stay still for nothing, and have right gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskedit.models.geometry import flow


def points(batch: int = 2, count: int = 12, seed: int = 0) -> Tensor:
    return 0.25 + 0.5 * torch.rand(batch, count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def basis(at: Tensor, smoothing: float = 1e-4) -> flow.Basis:
    return flow.basis(at, torch.full((at.shape[1],), smoothing, dtype=at.dtype))


def test_wendlands_function_by_known_values() -> None:
    values = flow.wendland(torch.tensor([0.0, 0.5, 1.0, 2.0]))
    torch.testing.assert_close(values, torch.tensor([1.0, 0.5**4 * 3, 0.0, 0.0]))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_points_land_and_come_back(seed: int) -> None:
    """Within 0.4 px of 256, when they move as far as faces do and alike nearby."""
    at = points(seed=seed)
    random = torch.Generator().manual_seed(seed)
    slope = 0.04 * torch.randn(2, 2, 2, generator=random, dtype=torch.float64)
    offsets = (at - 0.5) @ slope
    field = basis(at).field(offsets)
    assert (flow.moved(field, at) - at - offsets).norm(dim=2).max() < 0.4 / 256
    if flow.determinant(field).min() > 0.4:
        back = flow.moved(flow.inverse(field), flow.moved(field, at))
        assert (back - at).norm(dim=2).max() < 0.4 / 256


def test_more_steps_come_back_nearer() -> None:
    at = points()
    field = basis(at).field(0.1 * (at - 0.5))
    missed = [
        (flow.moved(flow.inverse(field, steps), flow.moved(field, at)) - at).norm(dim=2).max() for steps in (0, 1, 5)
    ]
    assert missed[0] > missed[1] > missed[2]


def test_nothing_moves_far_from_the_points() -> None:
    at = torch.full((1, 1, 2), 0.2, dtype=torch.float64)
    field = basis(at).field(torch.full_like(at, 0.01))
    places = flow.cells(at)
    far = ((places - 0.2).norm(dim=1) > flow.RADIUS).view(flow.GRID, flow.GRID)
    assert (field[0, :, far] == 0).all()
    assert field.abs().max() > 0.009


def test_determinant_of_a_stretch() -> None:
    places = flow.cells(torch.zeros(1, dtype=torch.float64))
    stretch = ((places - 0.5) * torch.tensor([0.2, -0.5])).T.reshape(1, 2, flow.GRID, flow.GRID)
    torch.testing.assert_close(flow.determinant(stretch), torch.full((1, 62, 62), 1.2 * 0.5, dtype=torch.float64))


def test_a_batch_equals_singles() -> None:
    at = points(batch=3)
    offsets = 0.05 * (at - 0.5)
    together = flow.inverse(basis(at).field(offsets))
    alone = [flow.inverse(basis(at[i : i + 1]).field(offsets[i : i + 1])) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "GRID", 8)
    at = points(batch=1, count=4)
    offsets = (0.05 * (at - 0.5)).requires_grad_()
    fixed = basis(at)
    assert torch.autograd.gradcheck(lambda o: flow.inverse(fixed.field(o)), (offsets,))
