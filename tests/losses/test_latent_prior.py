"""A latent stays where those of real pictures lie."""

import pytest
import torch

from maskedit import functional, losses
from maskedit.errors import InputError
from maskedit.protocols import LatentDistribution
from tests.losses.cases import latents


def test_prior_is_zero_at_the_mean_and_one_at_one_deviation_along_all(whole, device):
    where = latents(k=6, dtype=whole, device=device)
    assert functional.latent_prior(where.mean[None], where).item() == pytest.approx(0, abs=1e-12)
    away = where.mean.flatten() + where.deviations @ where.components
    assert functional.latent_prior(away.view(1, 2, 3), where).item() == pytest.approx(1.0, rel=1e-5)
    # What the components do not span is measured in the smallest deviation.
    part = LatentDistribution(where.mean, where.components[:4], where.deviations[:4])
    outside = where.mean.flatten() + 3 * where.deviations[3] * where.components[5]
    assert functional.latent_prior(outside.view(1, 2, 3), part).item() == pytest.approx(9 / 6, rel=1e-5)


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: losses.LatentPrior()(torch.rand(2, 3), latents()), r"\[b, 2, 3\]"),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()
