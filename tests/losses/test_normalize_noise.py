"""Noise maps brought to mean 0 and standard deviation 1."""

import torch

from maskedit import functional


def test_released_noise_normalisation(reference):
    for i in range(9):
        normalised = functional.normalize_noise(3 * reference[f"noise_map_{i}"] + 1)
        torch.testing.assert_close(normalised, reference[f"noise_normalized_{i}"], rtol=0, atol=1e-5)


def test_constant_noise_is_normalised_to_zeros():
    assert torch.equal(functional.normalize_noise(torch.ones(2, 1, 4, 4)), torch.zeros(2, 1, 4, 4))
