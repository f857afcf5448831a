"""Projections on principal components, perceptual distance."""

import torch

from benchmarks.faces.reconstruction import boxed, perceptual_distance, projections
from maskedit.models.networks.face_embedding import FaceEmbedding


def pictures(count: int, seed: int, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_boxed_averages_areas() -> None:
    large = pictures(1, 0, 128)
    torch.testing.assert_close(boxed(large)[0, :, 5, 7], large[0, :, 10:12, 14:16].mean((1, 2)))
    assert boxed(large[..., :64, :64]) is not large
    torch.testing.assert_close(boxed(large[..., :64, :64]), large[..., :64, :64])


def test_projections_are_those_of_a_singular_value_decomposition() -> None:
    known, photos = pictures(6, 0, 8), pictures(3, 1, 8)
    pixels = torch.cat([known, known.flip(3)]).flatten(1)
    _, _, directions = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    found = projections(known, photos, (2, 5))
    for k in (2, 5):
        basis = directions[:k]
        expected = pixels.mean(0) + (photos.flatten(1) - pixels.mean(0)) @ basis.T @ basis
        torch.testing.assert_close(found[k].flatten(1), expected, atol=1e-4, rtol=1e-4)
    full = projections(known, known, (11,))[11]
    torch.testing.assert_close(full, known, atol=1e-3, rtol=0)


def test_perceptual_distance_grows_with_the_change() -> None:
    torch.manual_seed(0)
    net = FaceEmbedding().eval()
    photos = pictures(3, 0, 64)
    noise = torch.randn(photos.shape, generator=torch.Generator().manual_seed(2))
    none, little, more = (perceptual_distance(net, photos + share * noise, photos) for share in (0, 0.02, 0.1))
    assert (none < 1e-9).all()
    assert (little > 1e-6).all()
    assert (more > 2 * little).all()
    single = perceptual_distance(net, (photos + 0.1 * noise)[1:2], photos[1:2])
    torch.testing.assert_close(single, more[1:2])
