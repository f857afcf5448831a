"""StyleGAN3 and StyleGAN2-ADA's variants from pickles, state dicts and our own files: the same, or a sentence."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedit.errors import CheckpointError, InputError
from maskedit.files import sha256
from maskedit.models import generator_from_state, load_generator, save_generator
from maskedit.models.files.convert import convert
from maskedit.models.files.inspect import inspect
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.networks.stylegan3 import Geometry, StyleGAN3
from tests.models.files.checkpoint_files import nvidias_modules, persistent_tree
from tests.models.networks.test_stylegan2_variants import NAMES, by_formula, loaded, variant


def tiny(**changes: Any) -> StyleGAN3:
    sizes: dict[str, Any] = {"geometry": Geometry(resolution=16, layers=4, critical=1), "latent_dim": 5, "z_dim": 6}
    torch.manual_seed(2)
    return StyleGAN3(**{**sizes, "channels": (4, 4, 3, 2), **changes}).freeze()


def same(actual: StyleGAN2 | StyleGAN3, expected: StyleGAN2 | StyleGAN3) -> None:
    theirs, ours = actual.state_dict(), expected.state_dict()
    assert theirs.keys() == ours.keys()
    for key in ours:
        torch.testing.assert_close(theirs[key], ours[key])
    latent = torch.randn(1, *expected.latent_shape)
    torch.testing.assert_close(actual.synthesize(latent), expected.synthesize(latent))


@pytest.mark.parametrize("config", ["t", "r"])
def test_nvidias_pickles_equal_the_reference(fixtures: Path, tmp_path: Path, config: str) -> None:
    path = fixtures / f"networks/stylegan3_{config}_64.pkl"
    values = np.load(fixtures / f"networks/stylegan3_{config}_64.npz")
    facts = inspect(path)
    assert facts["network"] == f"StyleGAN3-{config.upper()} of NVIDIA's form (G_ema)"
    assert facts["resolution"] == "64 px"
    assert facts["latents"] == "16 layers of 32"
    assert facts["mean latent"] == "in the file"
    assert "noise maps" not in facts
    convert(path, tmp_path / "g.safetensors")
    assert inspect(tmp_path / "g.safetensors")["network"] == f"StyleGAN3-{config.upper()} of maskedit's form"
    wanted = torch.from_numpy(values["image"][:1])
    for file in (path, tmp_path / "g.safetensors"):
        generator = load_generator(file)
        assert not generator.training
        image = generator.synthesize(torch.from_numpy(values["w"][:1])) * 2 - 1
        assert (image - wanted).abs().max() <= 1e-4 * wanted.abs().max()


def write_pickle(path: Path, state: dict[str, Tensor], **attributes: object) -> None:
    with nvidias_modules():
        path.write_bytes(pickle.dumps({"G_ema": persistent_tree(state, **attributes)}))


@pytest.mark.parametrize("name", NAMES)
def test_pickles_of_variants_say_what_keys_cannot(fixtures: Path, tmp_path: Path, name: str) -> None:
    spec, _ = variant(fixtures, name)
    arguments, expected = spec["init_kwargs"], loaded(spec)
    state = by_formula(spec)
    attributes = {"conv_clamp": arguments["synthesis_kwargs"].get("conv_clamp")}
    attributes |= {key: arguments[key] for key in ("c_dim", "z_dim", "img_channels")}
    attributes["architecture"] = arguments["synthesis_kwargs"].get("architecture", "skip")
    with nvidias_modules():
        tree = persistent_tree(state, **attributes)
        rate = arguments["mapping_kwargs"].get("lr_multiplier", 0.01)
        mapping = tree.meta["state"]["_modules"]["mapping"].meta["state"]["_modules"]
        for layer, part in mapping.items():
            inputs = state[f"mapping.{layer}.weight"].shape[1]
            part.meta["state"]["weight_gain"] = (1.0 if layer == "embed" else rate) / inputs**0.5
        (tmp_path / "g.pkl").write_bytes(pickle.dumps({"G_ema": tree}))
    same(load_generator(tmp_path / "g.pkl"), expected)
    written = convert(tmp_path / "g.pkl", tmp_path / "g.safetensors")
    assert written["source_sha256"] == sha256(tmp_path / "g.pkl")
    assert written["mean_latent"] == "of the source"
    same(load_generator(tmp_path / "g.safetensors"), expected)
    z = torch.randn(2, expected.z_dim) if expected.z_dim else None
    label = torch.rand(2, 5) if expected.mapping.classes else None
    again = load_generator(tmp_path / "g.safetensors").map(z, label=label)
    torch.testing.assert_close(again, expected.map(z, label=label))


def test_inspect_tells_variants_apart(fixtures: Path, tmp_path: Path) -> None:
    facts = {}
    for name in ("cond", "nolatent", "resnet", "orig", "gray", "filter6", "mapping"):
        save_generator(loaded(variant(fixtures, name)[0]), tmp_path / name)
        facts[name] = inspect(tmp_path / name)
    assert facts["cond"]["mapping"] == "4 layers, from codes of 24 and labels of 5 classes"
    assert facts["nolatent"]["mapping"] == "4 layers, from labels of 5 classes"
    assert (facts["resnet"]["blocks"], facts["orig"]["blocks"]) == ("residual", "plain")
    assert facts["gray"]["resolution"] == "32 px, grey"
    assert facts["filter6"]["filter"] == "0.0769 0.154 0.308 0.231 0.154 0.0769"
    assert facts["mapping"]["noise maps"] == "none"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kernel": 1, "radial": True},
        {"classes": 3, "colours": 1},
        {"geometry": Geometry(resolution=32, layers=4, critical=2, margin=4, first_stopband=5.0), "scale": 0.5},
        {"clamp": None, "mapping_rate": 0.1, "mapping_layers": 3},
    ],
)
def test_our_own_files_give_the_same_stylegan3(tmp_path: Path, changes: dict[str, Any]) -> None:
    generator = tiny(**changes)
    save_generator(generator, tmp_path / "g")
    again = load_generator(tmp_path / "g")
    same(again, generator)
    assert isinstance(again, StyleGAN3)
    label = torch.rand(1, 3) if "classes" in changes else None
    torch.testing.assert_close(*(g.map(torch.ones(1, 6), label=label) for g in (again, generator)))
    assert (again.geometry, again.scale, again.clamp) == (generator.geometry, generator.scale, generator.clamp)


def test_a_state_dict_takes_what_it_cannot_say(tmp_path: Path) -> None:
    geometry = Geometry(resolution=16, layers=4, critical=1, margin=4)
    generator = tiny(geometry=geometry, scale=0.5)
    with pytest.raises(CheckpointError, match="other sizes than StyleGAN3's arguments give.*in the pickle"):
        generator_from_state(generator.state_dict())
    same(generator_from_state(generator.state_dict(), geometry=geometry, scale=0.5), generator)
    with pytest.raises(InputError, match="told no such thing.*geometry"):
        generator_from_state(generator.state_dict(), layers=4)
    write_pickle(tmp_path / "g.pkl", generator.state_dict(), _init_kwargs={"margin_size": 4, "output_scale": 0.5,
                 "num_critical": 1})  # fmt: skip
    same(load_generator(tmp_path / "g.pkl"), generator)


def renamed(old: str, new: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {key.replace(old, new): tensor for key, tensor in state.items()}


def without(end: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {key: tensor for key, tensor in state.items() if not key.endswith(end)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("L0_36_4.weight"), "incomplete: 'synthesis.L0_36_4.weight'"),
        (without("mapping.fc0.weight"), "incomplete: 'mapping.fc0.weight'"),
        (without("L1_36_4.bias"), "1 are missing: 'synthesis.L1_36_4.bias'"),
        (renamed("L2_", "L7_"), "impossible size.*L0, L1.*once"),
        (renamed("L1_36_4", "L1_40_4"), "other sizes"),
        (renamed("L1_36_4", "L1_36_9"), "does not fit the others"),
        (renamed("input.phases", "input.phase"), "1 that have no place: 'synthesis.input.phase'"),
        (renamed("L4_16_3", "L4_17_3"), "impossible size: StyleGAN3 has no such resolution"),
        (lambda state: {**state, "synthesis.input.freqs": torch.full((4, 2), torch.nan)}, "freqs' .*is damaged"),
        (lambda state: {**state, "synthesis.L0_36_4.up_filter": torch.ones(5)}, "up_filter.*does not fit the others"),
        (lambda state: {**state, "synthesis.L0_36_4.weight": torch.ones(4, 4)}, "does not fit the others"),
    ],
)
def test_stylegan3s_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], said: str
) -> None:
    geometry = Geometry(resolution=16, layers=4)
    state = tiny(geometry=geometry).state_dict()
    assert "synthesis.L4_16_3.weight" in state
    with pytest.raises(CheckpointError, match=said):
        generator_from_state(change(state))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"filter_size": 8}, "not built here: filter_size; expected 6; got 8"),
        ({"num_critical": "two"}, "what no StyleGAN3 can be; got critical 'two'"),
        ({"margin_size": 2.5}, "what no StyleGAN3 can be; got margin '2.5'"),
        ({"num_critical": 9}, "impossible size: StyleGAN3 has no such layers"),
    ],
)
def test_pickles_of_other_arguments_are_refused(tmp_path: Path, arguments: dict[str, object], said: str) -> None:
    write_pickle(tmp_path / "g.pkl", tiny().state_dict(), _init_kwargs=arguments)
    with pytest.raises(CheckpointError, match=said):
        load_generator(tmp_path / "g.pkl")


def test_a_damaged_file_of_ours_is_noticed(tmp_path: Path) -> None:
    save_generator(tiny(), tmp_path / "g")
    content = bytearray((tmp_path / "g").read_bytes())
    content[-9] ^= 1
    (tmp_path / "g").write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="not those that were written"):
        load_generator(tmp_path / "g")
    save_generator(tiny(scale=0.5), tmp_path / "g")
    (tmp_path / "g").write_bytes((tmp_path / "g").read_bytes().replace(b'"scale":"0.5"', b'"scale":"0,5"'))
    with pytest.raises(CheckpointError, match="scale '0,5'"):
        load_generator(tmp_path / "g")
