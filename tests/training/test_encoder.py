"""An encoder for a generator that is done: it learns, goes on, and leaves the generator alone."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maskedit.models.files.generators import save_generator
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.training import encoder, loop


@pytest.fixture
def arguments(drawn_faces: Path, tmp_path: Path) -> list[str]:
    """Of a training on a tiny generator."""
    torch.manual_seed(0)
    net = StyleGAN2(resolution=16, latent_dim=8, channels=(8, 8, 8), mapping_layers=2).eval()
    save_generator(net, tmp_path / "generator.safetensors")
    return ["--faces", str(drawn_faces), "--generator", str(tmp_path / "generator.safetensors"), "--batch", "4"]


def test_distance_falls(arguments: list[str], tmp_path: Path) -> None:
    encoder.main([*arguments, "--out", str(tmp_path / "run"), "--steps", "60", "--every", "10", "--rate", "0.01"])
    losses = [json.loads(line)["distance"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.9 * losses[0]
    assert (tmp_path / "run" / "sheet.png").exists()


class KilledError(Exception):
    pass


def test_resumed_equals_unbroken(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*arguments, "--steps", "6", "--every", "2"]

    def keep_then_die(path: Path, kept: loop.Kept, step: int, seconds: float) -> None:
        keep(path, kept, step, seconds)
        if step == 4:
            raise KilledError

    encoder.main([*arguments, "--out", str(tmp_path / "unbroken")])
    keep = loop.save_checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", keep_then_die)
        with pytest.raises(KilledError):
            encoder.main([*arguments, "--out", str(tmp_path / "broken")])
    encoder.main([*arguments, "--out", str(tmp_path / "broken")])
    unbroken, resumed = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("unbroken", "broken"))
    assert unbroken.keys() == resumed.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, resumed[key]), key
