"""Boundaries: InterFaceGAN's own, and those of latents whose attribute is known."""

import sys

import numpy as np
import pytest
import torch

from maskedit.errors import InputError
from maskedit.models.files.boundaries import load_boundaries
from maskedit.protocols import LatentDistribution
from maskedit.training import boundaries
from maskedit.training.boundaries import find_boundaries, find_boundary, sampled, scored
from tests import toys

pytest.importorskip("sklearn", reason="needs scikit-learn")

TAGS = {
    "ratio": ("scores", {"chosen": 0.1, "split": 0.7, "seed": 11}),
    "count": ("scores", {"chosen": 60, "split": 0.8, "seed": 12}),
    "invalid": ("scores_with_invalid", {"chosen": 0.1, "split": 0.7, "seed": 13, "invalid": -1.0}),
    "capped": ("scores", {"chosen": 0.9, "split": 0.7, "seed": 14}),
}


@pytest.mark.parametrize("tag", TAGS)
def test_boundaries_are_the_released_programs(fixtures, tag) -> None:
    arrays = np.load(fixtures / "rivals" / "interfacegan.npz")
    scores, options = TAGS[tag]
    found = find_boundary(torch.from_numpy(arrays["latents"]), torch.from_numpy(arrays[scores])[:, 0], **options)
    assert list(found.rows) == arrays[f"train_index_{tag}"].tolist()
    exact, published = (torch.from_numpy(arrays[f"normal_{kind}{tag}"]).float() for kind in ("exact_", ""))
    torch.testing.assert_close(found.normal, exact, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.normal, published, rtol=0, atol=2e-3 * float(published.abs().max()))
    assert found.accuracy > 0.7


def test_known_directions_are_found_and_what_goes_together_is_told() -> None:
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(2000, 2, 3, generator=random)
    first, second = latents[:, 0, 1], latents[:, 1, 2]
    scores = torch.stack([first, second, first + second], 1)
    lines: list[str] = []
    found = find_boundaries(latents, scores, ["a", "b", "both"], tell=lines.append)
    assert float(found.normals["a"][0, 1]) > 0.95
    assert float(found.normals["b"][1, 2]) > 0.95
    torch.testing.assert_close(found.normals["both"][[0, 1], [1, 2]], torch.full((2,), 0.5**0.5), atol=0.15, rtol=0)
    assert all(0.9 < deviation < 1.1 for deviation in found.deviations.values())
    assert abs(float(found.together[0, 1])) < 0.1
    assert 0.6 < float(found.together[0, 2]) < 0.8
    assert len(lines) == 3


def test_models_are_scored_on_their_own_pictures(tmp_path, monkeypatch) -> None:
    """Of the toy trio, the mouth's width is the latent's last number but three; its boundary points there."""
    trio = toys.models()
    codes, logits = scored(trio, 400, seed=0)
    assert codes.shape == (400, 3, 4)
    assert logits.shape == (400, len(trio.classifier.attributes))
    monkeypatch.setattr(boundaries, "load", lambda: trio)
    boundaries.main(["--out", str(tmp_path / "found"), "--pictures", "300"])
    found = load_boundaries(tmp_path / "found" / "boundaries.safetensors")
    assert tuple(found.normals) == tuple(trio.classifier.attributes)
    for name, normal in found.normals.items():
        assert normal.shape == (3, 4)
        moved = codes[:50] + 3 * found.deviations[name] * normal
        pictures = [trio.generator.synthesize(x, []).clamp(0, 1) for x in (codes[:50], moved)]
        before, after = (trio.classifier.classify(picture, [name]).mean() for picture in pictures)
        assert after > before, name


def test_sampled_latents_have_the_distribution() -> None:
    random = torch.Generator().manual_seed(1)
    components = torch.linalg.qr(torch.randn(6, 6, generator=random)).Q.T[:2]
    latents = LatentDistribution(torch.randn(2, 3, generator=random), components, torch.tensor([3.0, 0.5]))
    codes = (sampled(latents, 20000, torch.Generator().manual_seed(0)) - latents.mean).flatten(1)
    scores = codes @ components.T
    torch.testing.assert_close(scores.std(0), latents.deviations, rtol=0.03, atol=0)
    torch.testing.assert_close(scores.mean(0), torch.zeros(2), rtol=0, atol=0.08)
    torch.testing.assert_close(scores @ components, codes, rtol=0, atol=1e-4)


def test_too_few_scores_and_a_missing_package_are_refused(monkeypatch) -> None:
    latents, scores = torch.randn(10, 3), torch.arange(10.0)
    with pytest.raises(InputError, match="too few scores for a boundary; .*got 10 scores"):
        find_boundary(latents, scores, chosen=0.02)
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(InputError, match="boundaries need scikit-learn"):
        find_boundary(latents, scores, chosen=4)
