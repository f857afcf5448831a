"""The loop of all trainings: what it keeps, what it refuses, and what does not end it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskedit.errors import CheckpointError, FileError
from maskedit.training.loop import Training, ema_weights, read_log, restore_checkpoint, resumable, train
from maskedit.training.options import Hyperparameters, read_options, remember

CPU = torch.device("cpu")


def line_training(steps: int = 6, width: int = 1, **more: object) -> Training:
    """Learns y = 3 x + 1 from random x."""
    torch.manual_seed(0)
    net = torch.nn.Linear(width, 1)

    def loss(i: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
        x = torch.randn(8, width, generator=rng)
        return {"loss": (net(x) - 3 * x.sum(1, keepdim=True) - 1).square().mean()}

    adam = torch.optim.Adam(net.parameters(), 0.1)
    return Training(network=net, optimizer=adam, loss=loss, steps=steps, **more)  # type: ignore[arg-type]


def trained(out: Path, training: Training | None = None, every: int = 2) -> torch.nn.Module:
    return train(training or line_training(), Hyperparameters(average=0.5), out=out, every=every, device=CPU)


def test_it_learns_and_returns_the_average(tmp_path: Path) -> None:
    training = line_training(300)
    ema = trained(tmp_path, training, every=100)
    assert ema is not training.network
    assert ema.weight.item() == pytest.approx(3, abs=0.1)
    assert ema.bias.item() == pytest.approx(1, abs=0.1)
    assert torch.equal(ema_weights(tmp_path / "checkpoint.safetensors")["weight"], ema.weight)


def test_the_rate_is_what_the_highest_is_multiplied_by(tmp_path: Path) -> None:
    moved = []
    for factor in (1.0, 0.5):
        training = line_training(1, rate=lambda step, factor=factor: factor, clip=None)
        before = training.network.weight.item()
        trained(tmp_path / str(factor), training)
        moved.append(training.network.weight.item() - before)
    assert moved[0] == pytest.approx(2 * moved[1], rel=1e-4)


def test_long_gradients_are_cut(tmp_path: Path) -> None:
    """A step of plain descent is as long as the gradient: at most ``clip``."""
    lengths = []
    for clip in (None, 1e-3):
        training = line_training(1, clip=clip)
        plain = torch.optim.SGD(training.network.parameters(), 1.0)
        before = torch.cat([w.detach().flatten().clone() for w in training.network.parameters()])
        training = Training(network=training.network, optimizer=plain, loss=training.loss, steps=1, clip=clip)
        trained(tmp_path / str(clip), training)
        after = torch.cat([w.detach().flatten() for w in training.network.parameters()])
        lengths.append((after - before).norm().item())
    assert lengths[0] > 0.1
    assert lengths[1] == pytest.approx(1e-3, rel=1e-2)


def test_what_the_loss_trains_itself_is_kept_too(tmp_path: Path) -> None:
    other = torch.nn.Linear(2, 2)
    trained(tmp_path, line_training(also={"other": other}))
    assert torch.equal(load_file(tmp_path / "checkpoint.safetensors")["other/weight"], other.weight)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda data: data[: len(data) // 2], "is no checkpoint, or is damaged"),
        (lambda data: b"", "is no checkpoint, or is damaged"),
        (lambda data: b"\x80\x04K\x01.", "is no checkpoint, or is damaged"),
        (lambda data: data.replace(b'"step":"4"', b'"step":"x"'), "is not of this training"),
        (lambda data: data.replace(b'"step"', b'"stop"'), "is not of this training; got 'step'"),
        (lambda data: data.replace(b"network/weight", b"networks/eight"), "is not of this training; got .*weight"),
        (lambda data: data.replace(b"optimizer/1/exp_avg_sq", b"optimizer/9/exp_avg_sq"), "another exp_avg_sq"),
    ],
)
def test_a_spoilt_checkpoint_gets_a_sentence(spoil: Callable[[bytes], bytes], sentence: str, tmp_path: Path) -> None:
    trained(tmp_path, line_training(4))
    path = tmp_path / "checkpoint.safetensors"
    spoilt = spoil(path.read_bytes())
    assert spoilt != path.read_bytes()
    path.write_bytes(spoilt)
    with pytest.raises(CheckpointError, match=sentence) as error:
        trained(tmp_path)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == spoilt


def test_another_trainings_checkpoint_gets_a_sentence(tmp_path: Path) -> None:
    trained(tmp_path, line_training(4))
    with pytest.raises(CheckpointError, match="is not of this training; .*--out to begin anew"):
        trained(tmp_path, line_training(width=3))
    save_file({"weight": torch.zeros(1, 1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="foreign.safetensors has no averaged weights"):
        ema_weights(tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="is not of this training"):
        restore_checkpoint(tmp_path / "foreign.safetensors", {"network": torch.nn.Linear(1, 1)})


def test_a_full_disk_does_not_end_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be written in the middle is written later; at the end it is told."""
    fsync, calls = os.fsync, [0]

    def full_at_first(file: int) -> None:
        calls[0] += 1
        if calls[0] == 1:
            raise OSError(28, "No space left on device")
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_first)
        trained(tmp_path / "run")
    assert "no space left on device. The training goes on." in capsys.readouterr().err
    assert [line["step"] for line in read_log(tmp_path / "run" / "log.jsonl")] == [2, 4, 6]
    trained(tmp_path / "unbroken")
    found, wanted = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("run", "unbroken"))
    assert all(torch.equal(value, found[key]) for key, value in wanted.items())

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="no space left"):
        trained(tmp_path / "other")


def test_the_log_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    """A line that is ahead of the checkpoint, as after a kill between the two, is not told twice."""
    trained(tmp_path, line_training(4))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 6, "loss": 9.0, "images_per_second": 1.0, "seconds": 1}) + "\n")
    trained(tmp_path)
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert lines[-1]["loss"] != 9.0


def test_a_spoilt_log_gets_a_sentence(tmp_path: Path) -> None:
    trained(tmp_path, line_training(4))
    (tmp_path / "log.jsonl").write_text("{half a li")
    with pytest.raises(CheckpointError, match=r"log.jsonl is no log of a training; got .* Delete it"):
        trained(tmp_path)


@pytest.mark.parametrize("content", ["{half", "[1]", "3"])
def test_spoilt_hyperparameters_get_a_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "hyperparameters.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"hyperparameters.json .*Delete it to go on"):
        remember(tmp_path, Hyperparameters())


def test_done_is_done(tmp_path: Path) -> None:
    """A training that had all its steps takes none, and leaves its files as they are."""
    trained(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    net = torch.nn.Linear(1, 1)
    resumable(lambda i: pytest.fail("a step"), {"network": net}, steps=6, out=tmp_path, batch=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_options_are_those_of_the_preset(tmp_path: Path) -> None:
    arguments = ["--faces", "F", "--labels", "L", "--out", str(tmp_path / "run"), "--batch", "5"]
    hyper, options = read_options("about", {"own": Hyperparameters(seed=3)}, arguments)
    assert hyper == Hyperparameters(seed=3, batch=5)
    assert (options.faces, options.labels, options.every) == (Path("F"), Path("L"), 250)
    assert json.loads((tmp_path / "run" / "hyperparameters.json").read_text())["batch"] == 5
