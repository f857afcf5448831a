"""Fréchet and kernel distance: reference values, known values, properties on drawn samples."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskedit.errors import InputError
from maskedit.metrics import frechet_distance, kernel_distance


@pytest.fixture(scope="module")
def reference(fixtures):
    return np.load(fixtures / "rivals" / "metrics.npz")


def rows(reference, name):
    known = {"fewer": reference["fake"][:200], "singular": reference["fake"][:10], "same": reference["real"]}
    return torch.from_numpy(known[name] if name in known else reference[name])


def sample(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", ["fake", "near", "same", "singular", "fewer"])
def test_frechet_distance_is_pytorch_fids(reference, name) -> None:
    found = frechet_distance(rows(reference, "real"), rows(reference, name))
    assert float(found) == pytest.approx(float(reference[f"frechet_{name}"]), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["fake", "near", "same"])
def test_kernel_distance_is_clean_fids(reference, name) -> None:
    found = kernel_distance(rows(reference, "real"), rows(reference, name))
    assert float(found) == pytest.approx(float(reference[f"kid_{name}"]), rel=1e-6, abs=1e-6)


def test_kernel_distance_of_subsets_is_torch_fidelitys(reference) -> None:
    real, fake = rows(reference, "real"), rows(reference, "fake")
    drawn = zip(reference["kid_subset_real"], reference["kid_subset_fake"], strict=True)
    values = torch.stack([kernel_distance(real[a], fake[b]) for a, b in drawn])
    torch.testing.assert_close(values, torch.from_numpy(reference["kid_subset_values"]), rtol=1e-6, atol=1e-6)
    assert float(values.mean()) == pytest.approx(float(reference["kid_subsets_mean"]), rel=1e-6)
    assert float(values.std(correction=0)) == pytest.approx(float(reference["kid_subsets_std"]), rel=1e-6)


def test_kernel_distance_of_a_few_points() -> None:
    """By hand, for d = 1 and the kernel (xy + 1)^3."""
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    # Among x: (0 + 1)^3 = 1; among y: (6 + 1)^3 = 343; across: (1 + 1 + 27 + 64) / 4.
    assert float(kernel_distance(x, y)) == pytest.approx(1 + 343 - 2 * 93 / 4)


def test_kernel_distance_is_unbiased() -> None:
    """Over many pairs of small samples of one distribution its mean is 0; the biased estimate's would be above."""
    values = torch.stack([kernel_distance(sample(8, 3, 2 * i), sample(6, 3, 2 * i + 1)) for i in range(500)])
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean()) < 3 * error
    assert error < 0.1  # the diagonals of the biased estimate would add about 1


@settings(max_examples=8)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0.2, 3))
def test_frechet_distance_of_known_gaussians(seed: int, shift: float, scale: float) -> None:
    """Scaled and moved copies of one sample: their covariances commute, so the distance has a closed form."""
    x = sample(200, 4, seed)
    y = scale * x + shift
    expected = (y.mean(0) - x.mean(0)).square().sum() + (scale - 1) ** 2 * torch.cov(x.T).trace()
    torch.testing.assert_close(frechet_distance(x, y), expected, atol=1e-9, rtol=1e-9)


@settings(max_examples=8)
@given(st.integers(0, 1000))
def test_distances_are_symmetric_and_vanish(seed: int) -> None:
    x, y = sample(40, 5, seed), 2 * sample(30, 5, seed + 1) + 1
    for distance in (kernel_distance, frechet_distance):
        torch.testing.assert_close(distance(x, y), distance(y, x))
        torch.testing.assert_close(distance(x, y), distance(x.flip(0), y))
    assert float(frechet_distance(x, x)) == pytest.approx(0, abs=1e-9)
    assert float(kernel_distance(x, y)) > 0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_sets_that_give_no_distance_are_refused_in_a_sentence(distance) -> None:
    x = sample(5, 3, 0)
    with pytest.raises(InputError, match="too few pictures for a .* distance; expected at least 2 in each set; got 1"):
        distance(x, x[:1])
    with pytest.raises(InputError, match="not finite"):
        distance(x, x / 0)


@pytest.mark.unhooked
def test_features_of_different_networks_are_refused() -> None:
    x = sample(5, 3, 0)
    with pytest.raises(InputError, match=r"different networks; expected \[n, 3\]; got \[5, 2\]"):
        frechet_distance(x, x[:, :2])
