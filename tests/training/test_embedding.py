"""The embedding's views, its loss, and a short training that finds drawn faces again and writes its weights."""

import json
from pathlib import Path

import pytest
import torch

from maskedit.models.networks.face_embedding import FaceEmbedding
from maskedit.models.weights.bundled import load_embedding, read_networks
from maskedit.training import embedding
from maskedit.training.embedding import TEMPERATURE, info_nce, views
from maskedit.training.loop import step_rng


def test_contrast_of_orthogonal_photos() -> None:
    """Views of one photo are equal, others at right angles: -log(e^s / (e^s + 2 (b - 1))) with s = 1 / temperature."""
    numbers = torch.eye(4, 8) * 5
    expected = torch.log1p(6 * torch.exp(torch.tensor(-1 / TEMPERATURE)))
    torch.testing.assert_close(info_nce(numbers, numbers), expected, atol=1e-6, rtol=1e-4)
    assert info_nce(numbers, numbers.roll(1, 0)) > 5


def test_views_keep_the_face_and_exchange_what_is_around() -> None:
    photos = torch.zeros(64, 3, 128, 128, dtype=torch.uint8)
    photos[::2, 0], photos[1::2, 2] = 255, 255  # red and blue by turns
    around = torch.zeros(64, 1, 128, 128)
    around[..., 96:, :] = 1
    seen = views(photos, around, 64, step_rng(0, 0))
    redder = (seen[:, 0] > seen[:, 2]) == (torch.arange(64) % 2 == 0)[:, None, None]
    assert redder[:, 8:32].all()
    lower = redder[:, 60:62, 24:40].float().mean((1, 2))
    assert 15 < (lower < 0.5).sum() < 49  # about half of them


def test_images_are_independent_of_the_others() -> None:
    torch.manual_seed(0)
    net = FaceEmbedding().eval()
    photos = torch.rand(3, 3, 80, 80, dtype=torch.float64)
    numbers = net.double().embed(photos)
    assert numbers.dtype == torch.float64
    torch.testing.assert_close(numbers.square().mean(1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(net.embed(photos[1:2]), numbers[1:2])


def test_training_learns_and_packs(drawn_faces: Path, drawn_labels: Path, tmp_path: Path) -> None:
    folders = ["--faces", str(drawn_faces), "--labels", str(drawn_labels), "--out", str(tmp_path / "run")]
    file = tmp_path / "embedding.safetensors"
    embedding.main([*folders, "--steps", "30", "--batch", "6", "--every", "10", "--pack", str(file)])
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]
    net = read_networks(file)[0]["embedding"]
    assert isinstance(net, FaceEmbedding)
    assert not net.training


def test_bundled_embedding_tells_pictures_apart() -> None:
    from skimage.data import astronaut

    net = load_embedding()
    face = torch.from_numpy(astronaut()[20:220, 125:325].copy()).permute(2, 0, 1)[None].float() / 255
    light, other = (face * 1.1).clamp(0, 1), face.flip(2)
    apart = 1 - torch.nn.functional.cosine_similarity(net.embed(face), net.embed(torch.cat([light, other])))
    assert apart[0] < 0.1
    assert apart[1] > 3 * apart[0]
    assert sum(p.numel() for p in net.parameters()) < 500_000
    assert net.dim <= 64


@pytest.mark.parametrize("steps", [6])
def test_resumed_equals_unbroken(steps: int, drawn_faces: Path, drawn_labels: Path, tmp_path: Path) -> None:
    """The weights depend on nothing but the seed and the number of steps."""
    from safetensors.torch import load_file

    folders = ["--faces", str(drawn_faces), "--labels", str(drawn_labels), "--batch", "4", "--every", "2"]
    for name in ("first", "second"):
        embedding.main([*folders, "--steps", str(steps), "--out", str(tmp_path / name)])
    first, second = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("first", "second"))
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
