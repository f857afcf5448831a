"""Winograd's convolution against the direct one."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from maskedit.models.networks import winograd
from maskedit.models.networks.fused import styled_conv

sizes = st.integers(1, 4).map(lambda tiles: winograd.TILE * tiles)
numbers = st.integers(1, 3)


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape).double().contiguous(memory_format=torch.channels_last)


@given(batch=numbers, inputs=numbers, outputs=numbers, height=sizes, width=sizes, tiles=st.sampled_from((1, 5, 512)))
def test_it_is_the_convolution_and_its_gradient(
    batch: int, inputs: int, outputs: int, height: int, width: int, tiles: int
) -> None:
    x, weight = features(batch, inputs, height, width).requires_grad_(), torch.randn(outputs, inputs, 3, 3).double()
    wanted = F.conv2d(x, weight, padding=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "TILES", tiles)
        points = winograd.at_points(weight)
        torch.testing.assert_close(winograd.conv(x.detach(), points), wanted.detach(), rtol=1e-12, atol=1e-12)
        given = torch.randn_like(wanted)
        of_x = winograd.conv_adjoint(given, points)
    torch.testing.assert_close(of_x, torch.autograd.grad(wanted, x, given)[0], rtol=1e-12, atol=1e-12)


def test_float32_is_near_the_direct_sum() -> None:
    x, weight = torch.randn(1, 256, 32, 32), torch.randn(256, 256, 3, 3) / 48
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    x = x.contiguous(memory_format=torch.channels_last)
    error = winograd.conv(x, winograd.at_points(weight)) - exact
    assert error.square().mean().sqrt() < 3e-6 * exact.square().mean().sqrt()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_styled_convolution_by_it_is_the_same(batch: int) -> None:
    x, style = features(batch, 3, 8, 8), torch.rand(batch, 3).double() + 0.5
    demodulation, noise = torch.rand(batch, 2).double() + 0.5, torch.randn(batch, 1, 8, 8).double()
    weight, bias = torch.randn(2, 3, 3, 3).double(), torch.randn(2).double()
    moving = [t.requires_grad_() for t in (x, style, demodulation, noise)]
    found = []
    for points in (None, winograd.at_points(weight)):
        y, _ = styled_conv(*moving, weight, bias, at_points=points, up=False, slope=0.2, clamp=None)
        found.append([y.detach(), *torch.autograd.grad(y.square().sum(), moving)])
    for ours, wanted in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)
