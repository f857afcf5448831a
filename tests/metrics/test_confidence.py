"""Bootstrap intervals: what they cover, that they are the seed's, and what they refuse."""

import pytest
import torch

from maskedit.errors import InputError
from maskedit.metrics import frechet_distance, interval


def sample(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", ["percentile", "centred"])
def test_it_covers_the_truth_as_often_as_it_says(kind) -> None:
    """200 samples of 50 numbers: a 90 % interval of the mean holds 0 about 180 times."""
    found = [
        interval(row, kind=kind, confidence=0.9, resamples=200, seed=i) for i, row in enumerate(sample(200, 50, 0))
    ]
    assert 165 <= sum(low <= 0 <= high for _, low, high in found) <= 192


def test_it_is_as_wide_as_theory_says() -> None:
    values = sample(400, 1, 0)[:, 0]
    found = interval(values, resamples=4000)
    error = float(values.std(correction=0)) / 20
    assert found.value == pytest.approx(float(values.mean()))
    assert (found.low, found.high) == pytest.approx((found.value - 1.96 * error, found.value + 1.96 * error), abs=0.01)


def test_samples_are_drawn_independently_and_by_the_seed() -> None:
    x, y = sample(60, 3, 0), sample(50, 3, 1) + 1
    found = [interval(x, y, statistic=frechet_distance, kind="centred", resamples=50, seed=seed) for seed in (3, 3, 4)]
    assert found[0] == found[1] != found[2]
    assert found[0].low < found[0].value < found[0].high
    assert found[0].value == float(frechet_distance(x, y))


def test_a_centred_interval_undoes_what_drawing_again_adds_to_a_distance() -> None:
    """Draws lie further apart than their samples, so the range of the draws lies above the value."""
    x, y = sample(40, 8, 0), sample(40, 8, 1)
    above = interval(x, y, statistic=frechet_distance, resamples=50)
    around = interval(x, y, statistic=frechet_distance, resamples=50, kind="centred")
    assert above.low > above.value
    assert around.low < around.value < around.high
    assert around.high - around.low == pytest.approx(above.high - above.low)


def test_numbers_that_are_missing_are_left_out() -> None:
    assert interval(torch.tensor([1.0, torch.nan, 1.0])) == (1, 1, 1)


def test_bad_questions_are_refused() -> None:
    with pytest.raises(InputError, match="nothing to draw from"):
        interval(torch.zeros(0))
    with pytest.raises(InputError, match="confidence"):
        interval(torch.zeros(3), confidence=95.0)


@pytest.mark.unhooked
def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="unknown kind"):
        interval(torch.zeros(3), kind="bca")
