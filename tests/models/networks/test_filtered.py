"""The filtered rectifier against its definition with zeros and whole filters; the filters against their formula."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskedit.models.networks import filtered
from maskedit.models.networks.filtered import Resampling, filtered_leaky_relu
from maskedit.models.networks.lowpass import lowpass, radial_lowpass

TAPS = 6


def resampling(*, up: int, down: int, size: int, out: int, clamp: float | None = None) -> tuple[Resampling, int]:
    """As StyleGAN3 pads; and the padding after the pixels."""
    total = (out - 1) * down + 1 - size * up + TAPS * (up + down) - 2
    before = (total + up) // 2
    how = Resampling(up=up, down=down, before=before, size=out, slope=0.2, gain=2**0.5, clamp=clamp)
    return how, total - before


def plain(x: Tensor, up_filter: Tensor, down_filter: Tensor, how: Resampling, after: int) -> Tensor:
    b, c, h, w = x.shape
    y = x.new_zeros(b, c, h, how.up, w, how.up)
    y[:, :, :, 0, :, 0] = x
    y = F.pad(y.view(b, c, h * how.up, w * how.up), (how.before, after, how.before, after))
    y = F.conv2d(y, (up_filter.outer(up_filter) * how.up**2).expand(c, 1, -1, -1), groups=c)
    y = F.leaky_relu(y, how.slope) * how.gain
    y = y if how.clamp is None else y.clamp(-how.clamp, how.clamp)
    both = down_filter.outer(down_filter) if down_filter.ndim == 1 else down_filter
    return F.conv2d(y, both.expand(c, 1, -1, -1), groups=c)[:, :, :: how.down, :: how.down]


def compare(up: int, down: int, radial: bool, clamp: float | None) -> None:
    up_filter = torch.randn(TAPS * up, dtype=torch.float64)  # no symmetry to lean on
    down_filter = torch.randn([TAPS * down] * (1 + radial), dtype=torch.float64)
    for size, out in ((5, 7), (8, 3)):
        how, after = resampling(up=up, down=down, size=size, out=out, clamp=clamp)
        x = torch.randn(2, 3, size, size, dtype=torch.float64).requires_grad_()
        ours, wanted = filtered_leaky_relu(x, up_filter, down_filter, how), plain(x, up_filter, down_filter, how, after)
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-10)
        given = torch.randn_like(wanted)
        actual, expected = (torch.autograd.grad(y, x, given)[0] for y in (ours, wanted))
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("clamp", [None, 0.5, 1e6])
@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize(("up", "down"), [(2, 2), (4, 2), (8, 2), (1, 1)])
def test_values_and_gradients_equal_the_definition(up: int, down: int, radial: bool, clamp: float | None) -> None:
    compare(up, down, radial, clamp)


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("up", [2, 4])
def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch, up: int, radial: bool) -> None:
    monkeypatch.setattr(filtered, "TILE", 300)
    compare(up, 2, radial, 0.5)


def test_gradcheck() -> None:
    how, _ = resampling(up=2, down=2, size=4, out=5)
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64).requires_grad_()
    up_filter, down_filter = lowpass(12, cutoff=2.0, width=12.0, rate=32).double(), torch.randn(12, 12).double()
    assert torch.autograd.gradcheck(lambda x: filtered_leaky_relu(x, up_filter, down_filter, how), x)


def test_only_what_came_in_is_kept() -> None:
    how, _ = resampling(up=4, down=2, size=8, out=16)
    x = torch.randn(1, 2, 8, 8).requires_grad_()
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):  # type: ignore[func-returns-value]
        filtered_leaky_relu(
            x, lowpass(24, cutoff=2.0, width=12.0, rate=32), lowpass(12, cutoff=2.0, width=12.0, rate=32), how
        )
    assert max(kept) == x.numel()


def test_lowpass_filters_pass_what_is_slow_and_stop_what_is_fast() -> None:
    along = lowpass(24, cutoff=4.0, width=8.0, rate=64).double()
    both = radial_lowpass(24, cutoff=4.0, width=8.0, rate=64).double()
    torch.testing.assert_close(along, along.flip(0))
    torch.testing.assert_close(both, both.rot90())
    assert along.sum().item() == pytest.approx(1)
    assert both.sum().item() == pytest.approx(1)

    def response(periods: float, degrees: float = 0.0) -> tuple[float, float]:
        at = (torch.arange(24).double() - 11.5) / 64
        angle = torch.tensor(degrees).double().deg2rad()
        wave = torch.cos(2 * torch.pi * periods * (at[:, None] * angle.sin() + at * angle.cos()))
        return (along.outer(along) * wave).sum().item(), (both * wave).sum().item()

    assert response(0.5)[0] > 0.95
    assert abs(response(12)[0]) < 0.01
    # A disc: the same in every direction, where the separable filter passes more along the diagonal.
    straight, diagonal = response(5.5, 0), response(5.5, 45)
    assert diagonal[1] == pytest.approx(straight[1], abs=0.02)
    assert diagonal[0] > straight[0] + 0.05


def test_odd_radial_filters_have_a_middle() -> None:
    assert radial_lowpass(5, cutoff=2.0, width=4.0, rate=16).isfinite().all()
