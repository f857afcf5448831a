"""Generators from each kind of file: the same network comes back, or a sentence says why not."""

import argparse
import os
import pickle
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedit.commands import convert as convert_command
from maskedit.commands import inspect as inspect_command
from maskedit.errors import CheckpointError, FileError, InputError
from maskedit.files import sha256
from maskedit.models import generator_from_state, load_generator, load_state, save_generator
from maskedit.models.files import stylegan2_files
from maskedit.models.files.checkpoints import read, write
from maskedit.models.files.generators import find_generator
from maskedit.models.files.inspect import inspect
from maskedit.models.networks.resampling import DEFAULT_TAPS
from maskedit.models.networks.stylegan2 import StyleGAN2
from tests.models.files.checkpoint_files import (
    WRITERS,
    ada_state,
    detached,
    nvidias_modules,
    persistent_tree,
    rosinality_state,
    tiny_generator,
    write_nvidia,
    write_rosinality,
)

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return tiny_generator().freeze()


def same(actual: StyleGAN2, expected: StyleGAN2) -> None:
    theirs, ours = actual.state_dict(), expected.state_dict()
    assert theirs.keys() == ours.keys()
    for key in ours:
        torch.testing.assert_close(theirs[key], ours[key])


def close(actual: Tensor, expected: np.ndarray) -> None:
    """The fixtures' measure: largest difference over largest value."""
    wanted = torch.from_numpy(expected)
    assert actual.shape == wanted.shape
    assert (actual - wanted).abs().max() <= 1e-4 * wanted.abs().max()


# --- every form -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".safetensors", ""])
@pytest.mark.parametrize("kind", list(WRITERS))
def test_every_form_gives_the_same_network(tmp_path: Path, generator: StyleGAN2, kind: str, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    WRITERS[kind](path, generator)
    loaded = load_generator(path)
    same(loaded, generator)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert list(tmp_path.iterdir()) == [path]


def test_stylegan2_ada_equals_the_reference() -> None:
    generator, values = load_generator(DATA / "stylegan2_ada_64.pkl"), np.load(DATA / "stylegan2_ada_64.npz")
    w, z = torch.from_numpy(values["w"]), torch.from_numpy(values["z"])
    assert generator.channels == (64, 64, 64, 32, 16)
    close(generator.synthesize(w, generator.constant_noises(2)) * 2 - 1, values["image_const_noise"])
    close(generator.synthesize(w) * 2 - 1, values["image_no_noise"])
    close(generator.map(z), values["mapped"])
    close(generator.map(z, truncation=0.7), values["mapped_truncated_0_7"])


@pytest.mark.parametrize("kind", ["rosinality zip", "nvidia", "ours"])
@pytest.mark.parametrize(
    "sizes",
    [
        {"resolution": 4, "channels": (2,)},
        {"resolution": 8, "channels": (1, 1), "latent_dim": 1, "z_dim": 1},
        {"resolution": 32, "channels": (8, 7, 6, 5), "mapping_layers": 8, "z_dim": 3, "latent_dim": 9},
    ],
)
def test_sizes_are_read_from_the_file(tmp_path: Path, kind: str, sizes: dict[str, Any]) -> None:
    generator = tiny_generator(**sizes)
    WRITERS[kind](tmp_path / "g", generator)
    same(load_generator(tmp_path / "g"), generator)


@pytest.mark.parametrize("kind", ["nvidia", "ours"])
def test_the_clamp_of_half_precision_training_is_kept(tmp_path: Path, kind: str) -> None:
    generator = tiny_generator(clamp=0.5)
    if kind == "nvidia":
        write_nvidia(tmp_path / "g", generator, conv_clamp=0.5)
    else:
        save_generator(generator, tmp_path / "g")
    loaded, latent = load_generator(tmp_path / "g"), torch.randn(1, *generator.latent_shape)
    assert loaded.clamp == 0.5
    torch.testing.assert_close(loaded.synthesize(latent), generator.synthesize(latent))
    assert not torch.allclose(loaded.synthesize(latent), tiny_generator().synthesize(latent))


def test_half_precision_weights_become_float32(generator: StyleGAN2) -> None:
    halves = {key: tensor.half() for key, tensor in generator.state_dict().items()}
    assert {parameter.dtype for parameter in generator_from_state(halves).parameters()} == {torch.float32}


def test_the_moving_average_is_preferred(tmp_path: Path, generator: StyleGAN2) -> None:
    good, other = rosinality_state(generator), rosinality_state(tiny_generator(latent_dim=6))
    torch.save({"g": other, "d": {"x": torch.ones(1)}, "g_ema": good, "latent_avg": torch.zeros(5)}, tmp_path / "g.pt")
    assert load_generator(tmp_path / "g.pt").latent_dim == 5
    with nvidias_modules():
        trees = {
            "G": persistent_tree(ada_state(tiny_generator(latent_dim=6))),
            "G_ema": persistent_tree(ada_state(generator)),
        }
        (tmp_path / "g.pkl").write_bytes(pickle.dumps(trees))
    assert load_generator(tmp_path / "g.pkl").latent_dim == 5


def test_a_state_dict_in_memory_will_do(generator: StyleGAN2) -> None:
    same(generator_from_state(ada_state(generator)), generator)


def test_loading_does_not_bring_in_torchs_compiler(tmp_path: Path, generator: StyleGAN2) -> None:
    """Arithmetic on the meta device would, for two seconds and 70 MB."""
    save_generator(generator, tmp_path / "g")
    program = (
        "import sys, maskedit.models as m; m.load_generator(sys.argv[1]); sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "g")], check=True)


# --- the mean latent ------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The calls of mean_latent; of few samples, to be quick."""
    calls: list[tuple[int, int]] = []
    original = StyleGAN2.mean_latent

    def mean_latent(self: StyleGAN2, samples: int = 50_000, seed: int = 0) -> Tensor:
        calls.append((samples, seed))
        return original(self, 100, seed)

    monkeypatch.setattr(StyleGAN2, "mean_latent", mean_latent)
    return calls


def without_mean(path: Path, generator: StyleGAN2) -> None:
    torch.save({"g_ema": detached(rosinality_state(generator))}, path)


def test_the_mean_is_computed_once_and_kept_beside_the_file(
    tmp_path: Path, generator: StyleGAN2, counted: list[tuple[int, int]]
) -> None:
    path = tmp_path / "g.pt"
    without_mean(path, generator)
    first, again = load_generator(path, seed=4), load_generator(path, seed=4)
    assert counted == [(50_000, 4)]
    assert first.latent_average is not None
    assert again.latent_average is not None
    assert torch.equal(first.latent_average, again.latent_average)
    load_generator(path, seed=5)
    without_mean(path, tiny_generator(mapping_layers=3))  # another file of the same name
    load_generator(path, seed=4)
    assert counted == [(50_000, 4), (50_000, 5), (50_000, 4)]
    assert len([p for p in tmp_path.iterdir() if p != path]) == 3


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-3], lambda data: b"", lambda data: data.replace(b'"seed":"0"', b'"seed":"1"')]
)
def test_a_damaged_keepsake_is_computed_again(
    tmp_path: Path, generator: StyleGAN2, counted: list[tuple[int, int]], damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "g.pt"
    without_mean(path, generator)
    expected = load_generator(path).latent_average
    (kept,) = (p for p in tmp_path.iterdir() if p != path)
    good = kept.read_bytes()
    kept.write_bytes(damage(good))
    assert kept.read_bytes() != good
    again = load_generator(path).latent_average
    assert again is not None
    assert expected is not None
    assert torch.equal(again, expected)
    assert len(counted) == 2
    load_generator(path)
    assert len(counted) == 2


def test_a_folder_that_cannot_be_written_to_is_no_trouble(
    tmp_path: Path, generator: StyleGAN2, counted: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "g.pt"
    without_mean(path, generator)

    def refuse(file: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", refuse)
    assert load_generator(path).latent_average is not None
    assert list(tmp_path.iterdir()) == [path]


# --- files that do not fit ------------------------------------------------------------------------------------------


def changed(state: Mapping[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    """The state with some weights replaced, added, or (None) left out."""
    return {key: tensor for key, tensor in {**state, **changes}.items() if tensor is not None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"convs.0.conv.weight": None}, "1 are missing: 'convs.1.weight'"),
        ({"convs.9.conv.weight": torch.ones(1)}, "1 that have no place: 'convs.10.weight'"),
        ({"something.else": torch.ones(1)}, "no place: 'unknown something.else'"),
        ({"convs.x.conv.weight": torch.ones(1)}, "no place"),
        ({"convs.0.activate.bias": torch.ones(9)}, r"'convs.1.bias'.*shape \[4\], floating point; got \[9\]"),
        ({"convs.0.activate.bias": torch.ones(4, dtype=torch.int64)}, "int64"),
        ({"convs.0.activate.bias": torch.tensor([1, 2, float("nan"), 3])}, "'convs.1.bias' .* is damaged"),
        ({"convs.0.conv.blur.kernel": torch.ones(4, 4)}, "resampling filter"),
        ({"convs.0.conv.blur.kernel": torch.ones(2, 2)}, "resampling filter"),
        ({f"to_rgbs.{i}.conv.weight": torch.ones(1, 3, 1, 1, 1) for i in range(2, 12)}, "impossible size"),
        ({f"to_rgbs.{i}.conv.weight": torch.ones(1, 3, 1, 1, 1) for i in range(2, 90)}, "impossible size"),
        ({"to_rgb1.conv.weight": torch.ones(1)}, "impossible size"),
        ({"to_rgb1.conv.weight": None}, "incomplete: 'to_rgbs.0.weight'"),
        ({"style.1.weight": torch.ones(())}, "incomplete: 'mapping.layers.0.weight'"),
    ],
)
def test_state_dicts_that_do_not_fit_are_refused(
    generator: StyleGAN2, changes: dict[str, Tensor | None], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        generator_from_state(changed(rosinality_state(generator), **changes))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"architecture": "dense"}, "architecture.*'skip'.*'dense'"),
        ({"activation": "relu"}, "activation"),
        ({"img_channels": 4}, "img_channels"),
        ({"weight_gain": 0.5}, "learning-rate multiplier"),
        ({"conv_clamp": -1.0}, "clamped"),
    ],
)
def test_other_kinds_of_stylegan2_ada_are_refused(
    tmp_path: Path, generator: StyleGAN2, attributes: dict[str, object], said: str
) -> None:
    write_nvidia(tmp_path / "g.pkl", generator, **attributes)
    with pytest.raises(CheckpointError, match=said):
        load_generator(tmp_path / "g.pkl")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"b4.conv.weight": torch.ones(2, 2)}, "holds a Discriminator"),
        ({"a.b.c.d.e.f.g.h.i.j.weight": torch.ones(2, 2)}, "nested without end"),
    ],
)
def test_other_pickled_networks_are_refused(tmp_path: Path, state: dict[str, Tensor], said: str) -> None:
    with nvidias_modules():
        (tmp_path / "g.pkl").write_bytes(pickle.dumps({"G_ema": persistent_tree(state, "Discriminator")}))
    with pytest.raises(CheckpointError, match=said):
        load_generator(tmp_path / "g.pkl")


def test_files_without_a_generator_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="holds no StyleGAN generator.*1 state dicts of other networks"):
        load_generator(tmp_path / "x.pt")
    torch.save([1, 2], tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="no state dict"):
        load_generator(tmp_path / "x.pt")


def test_weights_shared_without_end_are_refused(tmp_path: Path) -> None:
    """One storage may stand for many large weights, so a small file could claim a large network."""
    shared = torch.zeros(64 * 64 * 9)
    state = {}
    for key, tensor in rosinality_state(tiny_generator(channels=(64, 64, 64))).items():
        state[key] = shared[: tensor.numel()].view(tensor.shape) if tensor.ndim == 5 else tensor.detach().clone()
    torch.save({"g_ema": state, "latent_avg": torch.zeros(5)}, tmp_path / "g.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskedit.models.files.checkpoints.MAX_SHARING", 1)
        with pytest.raises(CheckpointError, match="far larger than the file"):
            load_generator(tmp_path / "g.pt")


def test_safetensors_of_unknown_types_are_refused(tmp_path: Path) -> None:
    header = b'{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    with pytest.raises(CheckpointError, match="F8_E4M3"):
        load_state(tmp_path / "x")


def test_a_damaged_clamp_is_refused(tmp_path: Path) -> None:
    save_generator(tiny_generator(clamp=2.0), tmp_path / "g")
    (tmp_path / "g").write_bytes((tmp_path / "g").read_bytes().replace(b'"clamp":"2.0"', b'"clamp":"two"'))
    with pytest.raises(CheckpointError, match="clamp 'two'"):
        load_generator(tmp_path / "g")


def test_our_own_files_know_when_they_are_damaged(tmp_path: Path, generator: StyleGAN2) -> None:
    save_generator(generator, tmp_path / "g")
    good = bytearray((tmp_path / "g").read_bytes())
    good[-1] ^= 1
    (tmp_path / "g").write_bytes(good)
    with pytest.raises(CheckpointError, match="not those that were written"):
        load_generator(tmp_path / "g")


def test_safetensors_of_others_need_no_digest(tmp_path: Path, generator: StyleGAN2) -> None:
    write(tmp_path / "g", generator.state_dict(), {})
    same(load_generator(tmp_path / "g"), generator)


# --- mutated files --------------------------------------------------------------------------------------------------


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with one to four accidents."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(out) + 1), chance.choice((1, 1, 2, 4, 8, 64, 1000))
        match chance.randrange(6):
            case 0:
                out[at : at + size] = chance.randbytes(size)
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = chance.randbytes(size)
            case 3:
                other = chance.randrange(len(out) + 1)
                out[at:at] = out[other : other + size]
            case 4:
                out[at : at + 8] = chance.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**62, 2**63 - 1)).to_bytes(8, "little")
            case 5:
                del out[at:]
        if not out:
            break
    return bytes(out)


ROUNDS = int(os.environ.get("MASKEDIT_FUZZ", "150"))


@pytest.mark.parametrize("kind", list(WRITERS))
def test_mutated_files_give_a_sentence_or_a_right_network(tmp_path: Path, kind: str) -> None:
    """``MASKEDIT_FUZZ=10000`` looks longer. A failure names the seed of its mutation."""
    generator = tiny_generator(resolution=8, channels=(2, 2), latent_dim=2, z_dim=2, mapping_layers=1)
    path = tmp_path / "g"
    WRITERS[kind](path, generator)
    good, refusals = path.read_bytes(), 0
    for seed in range(ROUNDS):
        path.write_bytes(mutated(good, random.Random(f"{kind} {seed}")))
        began = time.monotonic()
        try:
            loaded = load_generator(path)
        except CheckpointError:
            refusals += 1
        except Exception as error:
            raise AssertionError(f"mutation {seed} of {kind}") from error
        else:
            if good.startswith(b"PK") or kind == "ours":  # whose checksums let no other weights through
                same(loaded, generator)
            assert loaded.synthesize(torch.zeros(1, *loaded.latent_shape)).isfinite().all(), seed
        assert time.monotonic() - began < 5, f"mutation {seed} of {kind} took too long"
    assert refusals > ROUNDS // 3


# --- the two commands -----------------------------------------------------------------------------------------------


def command(module: Any, *words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args([str(word) for word in words]))


@pytest.mark.parametrize("kind", list(WRITERS))
def test_convert_keeps_the_network_and_says_where_it_is_from(
    tmp_path: Path, generator: StyleGAN2, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in", tmp_path / "out.safetensors"
    WRITERS[kind](source, generator)
    assert command(convert_command, source, target) == 0
    assert "out.safetensors" in capsys.readouterr().out
    same(load_generator(target), generator)
    metadata = read(target).metadata
    assert metadata["format"] == "maskedit.stylegan2"
    assert metadata["source_sha256"] == sha256(source)
    assert metadata["channels"] == "6 4 3"
    assert metadata["mean_latent"] == "of the source"
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_convert_refuses_what_it_cannot_write(tmp_path: Path, generator: StyleGAN2) -> None:
    save_generator(generator, tmp_path / "in.safetensors")
    before = sorted(tmp_path.iterdir())
    for target, said in (
        (tmp_path / "out.pt", "what its name says"),
        (tmp_path / "in.safetensors", "the same file"),
        (tmp_path / "no" / "out.safetensors", "a folder that exists"),
    ):
        with pytest.raises(InputError, match=said):
            command(convert_command, tmp_path / "in.safetensors", target)
    (tmp_path / "out.safetensors").mkdir()
    with pytest.raises(FileError, match="cannot write"):
        command(convert_command, tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    (tmp_path / "out.safetensors").rmdir()
    assert sorted(tmp_path.iterdir()) == before


def test_a_write_that_breaks_off_leaves_what_was_there(
    tmp_path: Path, generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.safetensors"
    save_generator(tiny_generator(latent_dim=3), path)
    before = path.read_bytes()

    def break_off(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", break_off)
    with pytest.raises(FileError, match="no space left"):
        save_generator(generator, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", list(WRITERS))
def test_inspect_says_what_a_file_is(
    tmp_path: Path, generator: StyleGAN2, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    WRITERS[kind](tmp_path / "g", generator)
    assert command(inspect_command, tmp_path / "g") == 0
    facts = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts["resolution"] == "16 px"
    assert facts["latents"] == "6 layers of 5"
    assert facts["mapping"] == "2 layers, from codes of 7"
    assert facts["channels"] == "6 4 3 at 4, 8, ... px"
    assert facts["mean latent"] == "in the file"
    assert {"rosinality": "rosinality", "encoder's": "rosinality", "nvidia": "NVIDIA", "ours": "maskedit"}[
        kind.removeprefix("bare ").split()[0]
    ] in facts["network"]


def test_inspect_loads_no_weights(tmp_path: Path, generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("weights were loaded")

    for kind in ("rosinality without zip", "nvidia", "ours"):
        WRITERS[kind](tmp_path / "g", generator)
        with monkeypatch.context() as patch:
            patch.setattr(stylegan2_files, "_taps", lambda *_: DEFAULT_TAPS)  # 4 x 4 numbers
            patch.setattr("maskedit.models.files.pickles.StoredTensor.load", fail)
            patch.setattr("maskedit.models.files.checkpoints._SafeTensor.load", fail)
            assert inspect(tmp_path / "g")["resolution"] == "16 px"


def test_inspect_describes_other_files_too(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(3), "b": torch.ones(2, 2).half()}, "step": 3}, tmp_path / "x.pt")
    facts = inspect(tmp_path / "x.pt")
    assert facts["entry 'model'"] == "7 numbers in 2 tensors, float16 and float32"
    assert facts["generator"] == "x.pt holds no StyleGAN generator"


def test_inspect_names_what_else_is_there(tmp_path: Path, generator: StyleGAN2) -> None:
    value = {"g_ema": rosinality_state(generator), "g": rosinality_state(generator), "d": {"w": torch.ones(1)}}
    torch.save(value, tmp_path / "x.pt")
    assert inspect(tmp_path / "x.pt")["also there"] == "g, d"
    assert "computed when loaded" in inspect(tmp_path / "x.pt")["mean latent"]


def test_writing_twice_replaces_the_file_whole(tmp_path: Path, generator: StyleGAN2) -> None:
    write_rosinality(tmp_path / "in.pt", generator)
    for _ in range(2):
        command(convert_command, tmp_path / "in.pt", tmp_path / "out.safetensors")
    assert find_generator(read(tmp_path / "out.safetensors")).outline().resolution == 16
    assert len(list(tmp_path.iterdir())) == 2
