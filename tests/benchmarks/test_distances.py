"""Distances between sets of features: known values, and properties on drawn samples."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faces.distances import frechet_distance, kernel_distance, precision_recall, sampled, within
from maskedit.protocols import LatentDistribution


def sample(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0.2, 3))
def test_frechet_distance_of_known_gaussians(seed: int, shift: float, scale: float) -> None:
    """Scaled and moved copies of one sample: their covariances commute, so the distance has a closed form."""
    x = sample(200, 4, seed)
    y = scale * x + shift
    expected = (y.mean(0) - x.mean(0)).square().sum() + (scale - 1) ** 2 * torch.cov(x.T).trace()
    torch.testing.assert_close(frechet_distance(x, y), expected, atol=1e-9, rtol=1e-9)


def test_frechet_distance_where_covariances_do_not_commute() -> None:
    from scipy.linalg import sqrtm

    x, turn = sample(300, 3, 0) * torch.tensor([1.0, 2.0, 3.0]), sample(3, 3, 1)
    y = sample(250, 3, 2) @ turn
    a, b = torch.cov(x.T).numpy(), torch.cov(y.T).numpy()
    expected = float((x.mean(0) - y.mean(0)).square().sum()) + (a + b - 2 * sqrtm(a @ b).real).trace()
    assert float(frechet_distance(x, y)) == pytest.approx(expected, rel=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_distances_are_symmetric_and_vanish(seed: int) -> None:
    x, y = sample(40, 5, seed), 2 * sample(30, 5, seed + 1) + 1
    for distance in (kernel_distance, frechet_distance):
        torch.testing.assert_close(distance(x, y), distance(y, x))
    assert float(frechet_distance(x, x)) == pytest.approx(0, abs=1e-9)
    assert float(kernel_distance(x, y)) > 0


def test_precision_and_recall_of_clusters() -> None:
    """Real pictures lie in two clusters; what is drawn covers one of them, and half of it lies nowhere."""
    real = torch.cat([sample(100, 4, 0), sample(100, 4, 1) + 100])
    drawn = torch.cat([sample(100, 4, 2), sample(100, 4, 3) - 100])
    precision, recall = precision_recall(drawn, real)
    assert 0.4 < precision <= 0.5
    assert 0.4 < recall <= 0.5
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real - 1000, real) == (0.0, 0.0)


def test_more_neighbours_reach_further() -> None:
    """On a line at 0, 1, 2, ...: with k neighbours the reach is k at the ends and less inside."""
    real = torch.arange(10.0)[:, None]
    drawn = torch.tensor([[-0.9], [-2.9], [-3.1]])
    assert within(drawn, real, 1).tolist() == [True, False, False]
    assert within(drawn, real, 3).tolist() == [True, True, False]


def test_sampled_latents_have_the_distribution() -> None:
    components = torch.linalg.qr(sample(6, 6, 0)).Q.T[:2].float()
    latents = LatentDistribution(sample(2, 3, 1).float().view(2, 3), components, torch.tensor([3.0, 0.5]))
    codes = (sampled(latents, 20000, torch.Generator().manual_seed(0)) - latents.mean).flatten(1)
    scores = codes @ components.T
    torch.testing.assert_close(scores.std(0), latents.deviations, rtol=0.03, atol=0)
    torch.testing.assert_close(scores.mean(0), torch.zeros(2), rtol=0, atol=0.08)
    torch.testing.assert_close(scores @ components, codes, rtol=0, atol=1e-4)
