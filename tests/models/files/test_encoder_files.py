"""Checkpoints of pSp, e4e and ReStyle: every published form, by small networks of the same keys."""

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import maskedit as me
from maskedit.commands import convert as convert_command
from maskedit.errors import CheckpointError
from maskedit.models import load_encoder, load_generator
from maskedit.models.files.checkpoints import File, Held
from maskedit.models.files.encoder_files import find_encoder
from maskedit.models.files.inspect import inspect
from maskedit.models.networks.psp import PSP, SingleStyleEncoder, StyleEncoder
from maskedit.models.networks.restyle import ReStyle
from maskedit.models.networks.stylegan2 import StyleGAN2
from tests.models.files.checkpoint_files import detached, rosinality_state, tiny_generator
from tests.models.networks.by_formula import keys

ROWS, DIM = 6, 128  # of a generator of 16 px; an encoder of width 16


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return tiny_generator(latent_dim=DIM).freeze()


@cache
def encoder(**changes: Any) -> StyleEncoder:
    torch.manual_seed(1)
    return StyleEncoder(**{"width": 16, "rows": ROWS, **changes}).eval().requires_grad_(False)


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": tensor for key, tensor in state.items()}


def write(path: Path, network: torch.nn.Module, generator: StyleGAN2 | None, **entries: object) -> Path:
    """As the three projects do."""
    state = under("encoder", network.state_dict())
    if generator is not None:
        state |= under("decoder", detached(rosinality_state(generator)))
    torch.save({"state_dict": state, **entries}, path)
    return path


def same(first: torch.nn.Module, second: torch.nn.Module) -> None:
    """The weights are the same, bit for bit."""
    one, other = first.state_dict(), second.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


FACE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
AVERAGE = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1))
OPTIONS: dict[str, dict[str, object]] = {
    "e4e": {"encoder_type": "Encoder4Editing", "stylegan_size": 16, "start_from_latent_avg": True},
    "pSp": {"encoder_type": "GradualStyleEncoder", "output_size": 16, "input_nc": 3, "learn_in_w": False},
}


@pytest.mark.parametrize("kind", ["e4e", "pSp"])
def test_one_pass_encoders_load(tmp_path: Path, generator: StyleGAN2, kind: str) -> None:
    progressive = kind == "e4e"
    network = encoder(progressive=progressive)
    resumed = {"global_step": 3, "best_val_loss": 0.1, "optimizer": {"state": {0: {"step": 1}}}}
    resumed["discriminator_state_dict"] = {"net.0.weight": torch.ones(2)}
    path = write(tmp_path / "x.pt", network, generator, latent_avg=AVERAGE, opts=OPTIONS[kind], **resumed)
    loaded = load_encoder(path)
    assert isinstance(loaded, PSP)
    assert not any(p.requires_grad for p in loaded.parameters())
    assert not loaded.training
    same(loaded, PSP(network, AVERAGE))
    assert isinstance(loaded.encoder, StyleEncoder)
    assert loaded.encoder.progressive == progressive
    problem = me.Problem(me.Models(generator, encoder=loaded), FACE[:, :, :16, :16], start="encoder")
    assert problem.start_latent().shape == (1, ROWS, DIM)


@pytest.mark.parametrize("shape", [(ROWS, DIM), (1, DIM), (DIM,)])
def test_a_mean_latent_of_any_shape_is_added_to_every_row(
    tmp_path: Path, generator: StyleGAN2, shape: tuple[int, ...]
) -> None:
    average = torch.randn(shape)
    loaded = load_encoder(write(tmp_path / "x.pt", encoder(), None, latent_avg=average, opts=OPTIONS["pSp"]))
    torch.testing.assert_close(loaded.latent_avg, average.expand(ROWS, DIM))


def test_without_a_mean_latent_the_generators_is_taken(tmp_path: Path, generator: StyleGAN2) -> None:
    path = write(tmp_path / "x.pt", encoder(), generator, opts=OPTIONS["pSp"])
    average = load_generator(path).latent_average
    assert average is not None
    torch.testing.assert_close(load_encoder(path).latent_avg, average.repeat(ROWS, 1))
    path = write(tmp_path / "y.pt", encoder(), generator, opts={**OPTIONS["pSp"], "start_from_latent_avg": False})
    assert not load_encoder(path).latent_avg.any()
    path = write(tmp_path / "z.pt", encoder(), None, opts=OPTIONS["pSp"])
    with pytest.raises(CheckpointError, match="holds no StyleGAN"):
        load_encoder(path)


@pytest.mark.parametrize("on", ["BackboneEncoder", "ProgressiveBackboneEncoder"])
def test_restyle_draws_with_the_files_generator_or_with_ones_own(tmp_path: Path, generator: StyleGAN2, on: str) -> None:
    network = encoder(inputs=6, pyramid=False, progressive=on.startswith("Progressive"))
    options = {"encoder_type": on, "output_size": 16, "input_nc": 6, "n_iters_per_batch": 5}
    path = write(tmp_path / "x.pt", network, generator, latent_avg=AVERAGE, opts=options)
    loaded = load_encoder(path)
    assert isinstance(loaded, ReStyle)
    same(loaded.encoder, network)
    assert torch.equal(loaded.latent_avg, AVERAGE)
    assert isinstance(loaded.generator, StyleGAN2)
    assert (loaded.rounds, loaded.encoder.progressive) == (5, network.progressive)
    own = load_encoder(path, generator=generator, rounds=1)
    assert isinstance(own, ReStyle)
    assert own.generator is generator
    torch.testing.assert_close(own.encode(FACE), ReStyle(network, generator, AVERAGE, rounds=1).encode(FACE))
    assert inspect(path)["network"] == f"ReStyle on {'e4e' if network.progressive else 'pSp'}, an encoder"


def test_the_e4e_of_maskfacegans_program_loads(tmp_path: Path) -> None:
    network = encoder(progressive=True)
    value = {"encoder_state_dict": network.state_dict(), "latent_avg": AVERAGE, "options": argparse.Namespace(a=1)}
    torch.save(value, tmp_path / "state.pt")
    loaded = load_encoder(tmp_path / "state.pt")
    same(loaded, PSP(network, AVERAGE))
    assert loaded.encoder.progressive


def test_a_psp_in_w_gives_every_row_the_same(tmp_path: Path, generator: StyleGAN2) -> None:
    torch.manual_seed(2)
    network = SingleStyleEncoder(width=16).eval()
    options = {"encoder_type": "BackboneEncoderUsingLastLayerIntoW", "learn_in_w": True, "output_size": 16}
    path = write(tmp_path / "x.pt", network, generator, latent_avg=AVERAGE[:1], opts=options)
    latent = load_encoder(path).encode(FACE)
    assert latent.shape == (1, ROWS, DIM)
    assert torch.equal(latent, latent[:, :1].expand(-1, ROWS, -1))
    x = torch.nn.functional.interpolate(FACE, (256, 256), mode="area") * 2 - 1
    mean = network.body(network.input_layer(x)).mean((2, 3))
    expected = mean @ (network.linear.weight / DIM**0.5).T + network.linear.bias + AVERAGE[0]
    torch.testing.assert_close(latent[:, 0], expected)


@pytest.mark.parametrize("kind", ["e4e", "ReStyle", "W"])
def test_inspect_names_it_and_convert_keeps_it(tmp_path: Path, generator: StyleGAN2, kind: str) -> None:
    source, target = tmp_path / "in.pt", tmp_path / "out.safetensors"
    network: torch.nn.Module = encoder(progressive=kind == "e4e")
    options = dict(OPTIONS.get(kind, {"output_size": 16}))
    if kind == "ReStyle":
        network = encoder(inputs=6, pyramid=False, progressive=True)
        options["encoder_type"] = "ProgressiveBackboneEncoder"
    elif kind == "W":
        network = SingleStyleEncoder(width=16).eval()
    write(source, network, generator, latent_avg=AVERAGE, opts=options)
    facts = inspect(source)
    assert facts["latents"] == "6 layers of 128"
    assert facts["mean latent"] == "in the file"
    assert facts["generator"].endswith("16 px")
    named = {"ReStyle": "ReStyle on e4e", "W": "pSp into W"}.get(kind, kind)
    assert facts["network"] == f"{named}, an encoder"
    assert convert_command.run(argparse.Namespace(source=source, target=target, seed=0)) == 0
    first, second = load_encoder(source), load_encoder(target)
    assert type(first) is type(second)
    same(first, second)
    assert getattr(first.encoder, "progressive", None) == getattr(second.encoder, "progressive", None)
    assert inspect(target)["network"] == facts["network"]
    drawn = [load_generator(path).synthesize(AVERAGE[None]) for path in (source, target)]
    assert torch.equal(*drawn)
    assert torch.equal(load_generator(target).latent_average, load_generator(source).latent_average)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value["state_dict"].pop("encoder.styles.2.linear.bias"), r"missing: 'styles\.2\.linear\.bias'"),
        (lambda value: value["opts"].update(encoder_type="ResNetBackboneEncoder"), "not built here.*ResNetBackbone"),
        (lambda value: value.pop("opts"), "does not say whether its encoder is pSp or e4e"),
        (lambda value: value.update(latent_avg=torch.zeros(5, DIM)), r"expected \[6, 128\]; got \[5, 128\]"),
        (lambda value: value.update(state_dict={"a": torch.zeros(1)}), "holds no encoder"),
        (
            lambda value: value["state_dict"].pop("encoder.input_layer.0.weight"),
            "expected pSp, e4e or ReStyle with an IR-SE50",
        ),
        (
            lambda value: value["state_dict"].update({"encoder.input_layer.0.weight": torch.zeros(16, 19, 3, 3)}),
            "does not take photos; expected 3 channels; got 19 channels",
        ),
        (
            lambda value: value["state_dict"].update({"encoder.input_layer.0.weight": torch.zeros(())}),
            "encoder",
        ),
    ],
)
def test_what_is_no_such_encoder_gets_a_sentence(tmp_path: Path, change: Any, said: str) -> None:
    state = under("encoder", encoder().state_dict())
    value: dict[str, Any] = {"state_dict": state, "latent_avg": AVERAGE, "opts": dict(OPTIONS["pSp"])}
    change(value)
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=said):
        load_encoder(tmp_path / "x.pt")
    inspect(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("e4e", {"encoder_type": "Encoder4Editing", "stylegan_size": 1024}, "e4e"),
        ("e4e", {"stylegan_size": 1024}, "e4e"),
        ("psp", {"encoder_type": "GradualStyleEncoder", "output_size": 1024}, "pSp"),
        ("psp", {"input_nc": 3, "label_nc": 0}, "pSp"),  # an older file
        ("restyle", {"encoder_type": "BackboneEncoder", "input_nc": 6}, "ReStyle on pSp"),
        ("restyle", {"encoder_type": "ProgressiveBackboneEncoder", "input_nc": 6}, "ReStyle on e4e"),
    ],
)
def test_the_keys_of_the_published_checkpoints_are_known(
    fixtures: Path, name: str, options: dict[str, object], kind: str
) -> None:
    shapes = keys(fixtures, name)
    state = {key: Held(torch.empty(shape, device="meta")) for key, shape in shapes["state_dict"].items()}
    average = Held(torch.empty(shapes["latent_avg"], device="meta"))
    found = find_encoder(File(Path(name), "torch", {"state_dict": state, "latent_avg": average, "opts": options}))
    found.outline()
    assert (found.kind, found.rows, found.dim) == (kind, 18, 512)
