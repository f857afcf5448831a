"""LPIPS and identity, with networks small enough to know the answer."""

import pytest
import torch
from torch import Tensor

from maskedit.errors import InputError
from maskedit.functional import masked_perceptual
from maskedit.metrics import Embedder, identity_similarity, lpips


def layers(image: Tensor) -> list[Tensor]:
    return [image, torch.nn.functional.avg_pool2d(image, 4) ** 2 - 0.2]


def pictures(seed: int) -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_lpips_without_weights_is_the_masked_perceptual_distance_everywhere() -> None:
    first, second = pictures(0), pictures(1)
    everywhere = torch.ones(2, 1, 16, 16, dtype=torch.float64)
    expected = masked_perceptual(layers(first), layers(second), everywhere)
    torch.testing.assert_close(lpips(layers, first, second), expected)
    assert lpips(layers, first, first).tolist() == [0, 0]


def test_lpips_weighs_channels() -> None:
    first, second = pictures(0), pictures(1)
    parts = []
    for layer in range(2):
        for channel in range(3):
            weights = [torch.zeros(3), torch.zeros(3)]
            weights[layer][channel] = 1.0
            parts.append(lpips(layers, first, second, weights=weights))
    torch.testing.assert_close(torch.stack(parts).sum(0), lpips(layers, first, second))
    assert len({round(float(part[0]), 9) for part in parts}) == 6
    with pytest.raises(InputError, match="the weights do not fit the layers"):
        lpips(layers, first, second, weights=[torch.ones(3)])


def test_identity_is_the_cosine_of_embeddings() -> None:
    class Colours:
        def embed(self, image: Tensor) -> Tensor:
            return 7 * image.mean((2, 3))

    red, green = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    red[:, 0], green[:, 1] = 1, 0.3
    embedder = Colours()
    assert isinstance(embedder, Embedder)
    found = identity_similarity(embedder, torch.cat([red, red, red]), torch.cat([0.1 * red, green, red + green]))
    assert found.tolist() == pytest.approx([1, 0, 1 / (1 + 0.3**2) ** 0.5], abs=1e-6)
