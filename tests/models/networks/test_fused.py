"""The fused layer against its formula written plainly, under autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskedit.models.networks import fused
from maskedit.models.networks.fused import blur, styled_conv

SLOPE = 0.2
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def plain(
    x: Tensor,
    style: Tensor,
    demodulation: Tensor,
    noise: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    up: bool,
    clamp: float | None,
) -> Tensor:
    x = x * style[:, :, None, None]
    if up:
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 4
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1)).flatten(0, 1)[:, None], taps.outer(taps)[None, None])[:, 0]
        x = x.unflatten(0, (len(style), -1))
    else:
        x = F.conv2d(x, weight, padding=1)
    x = x * demodulation[:, :, None, None] + bias[:, None, None] + (0 if noise is None else noise)
    x = F.leaky_relu(x, SLOPE)
    return x if clamp is None else x.clamp(-clamp, clamp)


def leaves(
    up: bool, noisy: bool, layout: torch.memory_format = torch.contiguous_format, batch: int = 2
) -> list[Tensor | None]:
    """x, style, demodulation, noise; of pictures of three channels."""
    made = [torch.randn(batch, 3, 5, 4, dtype=torch.float64).to(memory_format=layout), torch.randn(batch, 3).double()]
    made += [torch.randn(batch, 2).double(), torch.randn(batch, 1, *(10, 8) if up else (5, 4)).double()]
    return [tensor.requires_grad_() for tensor in made[:3]] + [made[3].requires_grad_() if noisy else None]


def constants() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 3, 3, 3).double(), torch.randn(2).double()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("clamp", [None, 0.5])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("block", [1, 60, 1 << 21])
@pytest.mark.parametrize("batch", [1, 2])
def test_values_and_gradients_equal_the_formulas(
    monkeypatch: pytest.MonkeyPatch,
    up: bool,
    noisy: bool,
    clamp: float | None,
    layout: torch.memory_format,
    block: int,
    batch: int,
) -> None:
    monkeypatch.setattr(fused, "BLOCK", block)
    inputs, (weight, bias) = leaves(up, noisy, layout, batch), constants()
    ours, _ = styled_conv(*inputs, weight, bias, up=up, slope=SLOPE, clamp=clamp)
    wanted = plain(*inputs, weight, bias, up, clamp)
    torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)
    if clamp is not None:
        assert ours.abs().max() == clamp
    given = torch.randn_like(wanted)
    moving = [tensor for tensor in inputs if tensor is not None]
    expected = torch.autograd.grad(wanted, moving, given)
    for actual, gradient in zip(torch.autograd.grad(ours, moving, given), expected, strict=True):
        torch.testing.assert_close(actual, gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("up", [False, True])
def test_gradcheck(up: bool, batch: int) -> None:
    weight, bias = constants()
    layer = lambda *inputs: styled_conv(*inputs, weight, bias, up=up, slope=SLOPE, clamp=None)[0]  # noqa: E731
    assert torch.autograd.gradcheck(layer, leaves(up, True, batch=batch))


@pytest.mark.parametrize("moving", [(0,), (1,), (2,), (3,), (0, 3)])
def test_only_the_gradients_asked_for(moving: tuple[int, ...]) -> None:
    inputs, (weight, bias) = leaves(True, True), constants()
    inputs = [t.detach().requires_grad_(i in moving) for i, t in enumerate(inputs) if t is not None]
    chosen = [inputs[i] for i in moving]
    results = (
        styled_conv(*inputs, weight, bias, up=True, slope=SLOPE, clamp=None)[0],
        plain(*inputs, weight, bias, True, None),
    )
    for actual, gradient in zip(*(torch.autograd.grad(r.square().sum(), chosen) for r in results), strict=True):
        torch.testing.assert_close(actual, gradient, rtol=1e-10, atol=1e-10)


def test_used_twice_and_by_neighbours() -> None:
    """What autograd keeps is nobody's to overwrite: the layer's input is used again, and so is its result."""
    inputs, (weight, bias) = leaves(False, True), constants()
    weight = weight[:, :2]
    inputs[0], inputs[1] = inputs[0][:, :2].detach().requires_grad_(), inputs[1][:, :2].detach().requires_grad_()
    totals = []
    for layer in (
        lambda *i: styled_conv(*i, weight, bias, up=False, slope=SLOPE, clamp=None)[0],
        lambda *i: plain(*i, weight, bias, False, None),
    ):
        once = layer(*inputs)
        again = layer(once, *inputs[1:])
        totals.append((again * once).sum() + (once * inputs[0]).sum() + again.sum())
    expected = torch.autograd.grad(totals[1], inputs)
    for actual, gradient in zip(torch.autograd.grad(totals[0], inputs), expected, strict=True):
        torch.testing.assert_close(actual, gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("read", ["features", "colours", "both"])
@pytest.mark.parametrize("clamp", [None, 0.5])
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("block", [1, 60, 1 << 21])
@pytest.mark.parametrize("batch", [1, 2])
def test_colours_and_their_gradients(
    monkeypatch: pytest.MonkeyPatch, up: bool, clamp: float | None, read: str, block: int, batch: int
) -> None:
    """Whatever is made of the result: of its features, of its colours, of both."""
    monkeypatch.setattr(fused, "BLOCK", block)
    inputs, (weight, bias) = leaves(up, True, batch=batch), constants()
    to_rgb = torch.randn(batch, 3, 2).double().requires_grad_()
    ours = styled_conv(*inputs, weight, bias, to_rgb=to_rgb, up=up, slope=SLOPE, clamp=clamp)
    features = plain(*inputs, weight, bias, up, clamp)
    wanted = features, torch.einsum("bchw,brc->brhw", features, to_rgb)
    torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)
    factors = [torch.randn_like(w) for w in wanted]
    moving = [*inputs, to_rgb]

    def gradients(made: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        parts = [
            (m * f).sum()
            for m, f, name in zip(made, factors, ("features", "colours"), strict=True)
            if read in (name, "both")
        ]
        return torch.autograd.grad(torch.stack(parts).sum(), moving, allow_unused=True)

    for actual, gradient in zip(gradients(ours), gradients(wanted), strict=True):
        zero = torch.zeros(()).double()
        torch.testing.assert_close(*(zero if g is None else g for g in (actual, gradient)), rtol=1e-10, atol=1e-10)


def test_no_grad_gives_the_same_and_keeps_nothing() -> None:
    inputs, (weight, bias) = leaves(True, True), constants()
    with torch.no_grad():
        free, _ = styled_conv(*inputs, weight, bias, up=True, slope=SLOPE, clamp=None)
    assert not free.requires_grad
    assert torch.equal(free, styled_conv(*inputs, weight, bias, up=True, slope=SLOPE, clamp=None)[0].detach())


@pytest.mark.parametrize("up", [False, True])
def test_autocast_computes_in_bfloat16_forward_and_backward(up: bool) -> None:
    inputs, (weight, bias) = [t.detach().float().requires_grad_() for t in leaves(up, True)], constants()
    weight, bias = weight.float(), bias.float()
    exact = plain(*inputs, weight, bias, up, None)
    with torch.autocast("cpu", torch.bfloat16):
        ours, _ = styled_conv(*inputs, weight, bias, up=up, slope=SLOPE, clamp=None)
    assert ours.dtype == torch.bfloat16
    assert (ours - exact).norm() < 0.02 * exact.norm()
    expected = torch.autograd.grad(exact.sum(), inputs)
    for actual, gradient in zip(torch.autograd.grad(ours.float().sum(), inputs), expected, strict=True):
        assert actual.dtype == torch.float32
        assert (actual - gradient).norm() < 0.05 * gradient.norm()


def test_the_blur_s_adjoint() -> None:
    x, y = torch.randn(2, 3, 7, 6).double(), torch.randn(2, 3, 6, 5).double()
    torch.testing.assert_close((blur(x) * y).sum(), (x * blur(y, padding=(2, 2))).sum())
