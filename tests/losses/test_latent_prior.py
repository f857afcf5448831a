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
        (lambda: losses.LatentPrior()(torch.rand(5, 3, 3), latents()), r"\[b, 2, 3\].*\[5, 3, 3\]"),
        (lambda: losses.LatentPrior()(torch.rand(1, 5, 2, 3), latents()), r"\[b, 2, 3\]"),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_it_is_the_mean_squared_score_of_each_coordinate(float64, device):
    where = latents(k=4, dtype=float64, device=device)
    scores = torch.tensor([1.0, -2.0, 0.5, 3.0]).to(where.mean)
    away = where.mean.flatten() + (scores * where.deviations) @ where.components
    value = functional.latent_prior(away.view(1, 2, 3), where).item()
    assert value == pytest.approx(scores.square().sum().item() / 6)
    assert losses.LatentPrior()(away.view(1, 2, 3), where).item() == pytest.approx(value)


def test_rounding_does_not_make_what_is_not_spanned_negative():
    """Far along components that span all, the rest is a difference of nearly equal large numbers."""
    g = torch.Generator().manual_seed(0)
    where = latents(k=6, dtype=torch.float32)
    tight = LatentDistribution(where.mean, where.components, torch.cat([torch.full((5,), 1e6), torch.tensor([1e-3])]))
    latent = where.mean + 1e3 * (torch.randn(64, 5, generator=g) @ where.components[:5]).view(64, 2, 3)
    assert (functional.latent_prior(latent, tight) >= 0).all()


@pytest.mark.unhooked
def test_whole_numbers_are_no_latent():
    with pytest.raises(InputError, match="latent is not a floating tensor"):
        functional.latent_prior(torch.ones(1, 2, 3, dtype=torch.long), latents())
