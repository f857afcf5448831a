"""Precision, recall, density, coverage: the reference's values and clusters whose shares are known."""

import numpy as np
import pytest
import torch

from maskedit.errors import InputError
from maskedit.metrics import prdc


def sample(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("name", ["fake", "near", "fewer"])
def test_all_four_are_prdcs(fixtures, name, k) -> None:
    values = np.load(fixtures / "rivals" / "metrics.npz")
    drawn = torch.from_numpy(values["fake"][:200] if name == "fewer" else values[name])
    found = prdc(drawn, torch.from_numpy(values["real"]), neighbours=k)
    for what, share in found._asdict().items():
        assert share == pytest.approx(float(values[f"{what}_{name}_k{k}"]), rel=1e-6), what


def test_precision_and_recall_of_clusters() -> None:
    """Real pictures lie in two clusters; what is drawn covers one of them, and half of it lies nowhere."""
    real = torch.cat([sample(100, 0), sample(100, 1) + 100])
    drawn = torch.cat([sample(100, 2), sample(100, 3) - 100])
    found = prdc(drawn, real)
    assert 0.4 < found.precision <= 0.5
    assert 0.4 < found.recall <= 0.5
    assert 0.4 < found.coverage <= 0.5
    assert prdc(real, real)[:2] == (1.0, 1.0)
    assert prdc(real - 1000, real) == (0.0, 0.0, 0.0, 0.0)


def test_more_neighbours_reach_further() -> None:
    """On a line at 0, 1, 2, ...: with k neighbours the reach is k at the ends and less inside."""
    real = torch.arange(10.0)[:, None]
    drawn = torch.tensor([[-0.9], [-2.9], [-3.1], [-50.0]])
    assert prdc(drawn, real, neighbours=1).precision == 0.25
    assert prdc(drawn, real, neighbours=3).precision == 0.5


def test_too_few_pictures_are_refused_with_the_number_needed() -> None:
    with pytest.raises(InputError, match="too few pictures for the 3 nearest neighbours.*at least 4 in each.*got 3"):
        prdc(sample(3, 0), sample(9, 1))
    with pytest.raises(InputError, match="expected at least 1; got 0"):
        prdc(sample(3, 0), sample(9, 1), neighbours=0)
