"""PSNR and SSIM: scikit-image's numbers, and that a mask keeps everything outside it out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskedit.metrics import psnr, ssim


def pair(seed: int = 0, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    first = torch.rand(2, 3, size, size, generator=random, dtype=torch.float64)
    return first, (first + 0.2 * torch.randn(first.shape, generator=random, dtype=torch.float64)).clamp(0, 1)


def test_psnr_is_scikit_images() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
    first, second = pair()
    expected = [
        metrics.peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1) for a, b in zip(first, second, strict=True)
    ]
    assert psnr(first, second).tolist() == pytest.approx(expected, rel=1e-9)


def test_ssim_is_scikit_images() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
    first, second = pair()
    first[..., :12, :] = first[..., -12:, :] = 0.3  # how the border is treated matters not where nothing differs
    first[..., :12] = first[..., -12:] = 0.3
    second = torch.where(first == 0.3, first, second)
    settings = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    for i, found in enumerate(ssim(first, second)):
        maps = [
            metrics.structural_similarity(a.numpy(), b.numpy(), **settings)[1]
            for a, b in zip(first[i], second[i], strict=True)
        ]
        assert float(found) == pytest.approx(sum(m.mean() for m in maps) / 3, rel=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_what_lies_outside_the_mask_counts_nothing(seed: int) -> None:
    first, second = pair(seed, 24)
    mask = torch.zeros(2, 1, 24, 24, dtype=torch.float64)
    mask[:, :, :, 9:] = 1
    other = second.clone()
    other[..., :9] = torch.rand(2, 3, 24, 9)
    for measure in (psnr, ssim):
        torch.testing.assert_close(measure(first, second, mask), measure(first, other, mask))
        assert bool((measure(first, second, mask) != measure(first, other)).all())
        torch.testing.assert_close(measure(first, second, torch.ones_like(mask)), measure(first, second))
        torch.testing.assert_close(measure(first, second, mask / 2), measure(first, second, mask))
        singles = torch.cat([measure(first[i : i + 1], second[i : i + 1], mask[i : i + 1]) for i in (0, 1)])
        torch.testing.assert_close(measure(first, second, mask), singles)


def test_known_values_and_the_same_picture() -> None:
    first, _ = pair()
    everywhere = torch.ones(2, 1, 40, 40).double()
    assert psnr(first, first).isinf().all()
    torch.testing.assert_close(ssim(first, first, everywhere), torch.ones(2).double())
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert float(psnr(flat, flat - 0.1)) == pytest.approx(20, abs=1e-4)
    # Without structure only the means count: (2 a b + c) / (a^2 + b^2 + c), c = 1e-4.
    assert float(ssim(flat, flat - 0.1)) == pytest.approx((2 * 0.2 + 1e-4) / (0.25 + 0.16 + 1e-4), abs=1e-5)
    assert psnr(flat + 3, torch.ones_like(flat)).isinf().all()  # as it would be shown


def test_an_empty_mask_gives_no_number() -> None:
    first, second = pair()
    nowhere = torch.zeros(2, 1, 40, 40).double()
    assert psnr(first, second, nowhere).isnan().all()
    assert ssim(first, second, nowhere).isnan().all()


def test_psnr_under_a_mask_is_that_of_the_part() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
    first, second = pair()
    mask = torch.zeros(2, 1, 40, 40).double()
    mask[:, :, :4, 2:9] = 1
    for i, found in enumerate(psnr(first, second, mask).tolist()):
        here = first[i, :, :4, 2:9].numpy(), second[i, :, :4, 2:9].numpy()
        assert found == pytest.approx(metrics.peak_signal_noise_ratio(*here, data_range=1), rel=1e-9)
