"""Noise maps brought to mean 0 and standard deviation 1."""

import pytest
import torch

from maskedit import functional
from maskedit.errors import InputError


def test_released_noise_normalisation(reference):
    for i in range(9):
        normalised = functional.normalize_noise(3 * reference[f"noise_map_{i}"] + 1)
        torch.testing.assert_close(normalised, reference[f"noise_normalized_{i}"], rtol=0, atol=1e-5)


def test_constant_noise_is_normalised_to_zeros():
    assert torch.equal(functional.normalize_noise(torch.ones(2, 1, 4, 4)), torch.zeros(2, 1, 4, 4))


def test_each_image_has_mean_nothing_and_unbiased_deviation_one(dtype, device, close):
    g = torch.Generator().manual_seed(0)
    noise = (3 * torch.randn(2, 1, 4, 4, generator=g) + 2).to(device, dtype)
    normalised = functional.normalize_noise(noise)
    zeros = torch.zeros(2, device=device)
    close(normalised.float().mean(dim=(1, 2, 3)), zeros, atol=2e-3)
    close(normalised.float().std(dim=(1, 2, 3)), zeros + 1, atol=2e-3)
    close(functional.normalize_noise(noise[1:]), normalised[1:])
    faint = functional.normalize_noise(1e-20 * noise.double())  # a faint map is scaled all the same
    assert faint.std(dim=(1, 2, 3)).cpu().tolist() == pytest.approx([1, 1])


@pytest.mark.unhooked
def test_whole_numbers_are_refused():
    with pytest.raises(InputError, match="floating"):
        functional.normalize_noise(torch.ones(1, 1, 4, 4, dtype=torch.long))
