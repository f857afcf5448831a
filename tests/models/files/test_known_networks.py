"""Networks that are known by their keys: what inspect calls them, and what convert writes."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from maskedit.commands import convert as convert_command
from maskedit.errors import CheckpointError
from maskedit.models import load_state
from maskedit.models.files.checkpoints import Held, read
from maskedit.models.files.inspect import inspect
from maskedit.models.files.known_networks import known_as
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.bisenet import BiSeNet
from maskedit.models.networks.fcn import FCN
from maskedit.models.networks.ir_se50 import FaceIdentity
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.unet import UNet
from maskedit.models.networks.vgg import VGG
from tests.models.networks.by_formula import Shapes, keys

LINEAR = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1) for k, c in enumerate((64, 192, 384, 256, 256))}
SMALL: dict[str, tuple[str, Callable[[], dict[str, Tensor]]]] = {
    "identity": ("IR-SE50: identity of faces", lambda: FaceIdentity(width=16, dim=4).state_dict()),
    "linear": ("LPIPS: linear layers", lambda: LINEAR),
    "resnet": ("ResNet: a classifier", lambda: ResNet(blocks=(1, 1, 1, 1), width=4, outputs=2).state_dict()),
    "tree": ("attribute tree: a classifier", lambda: AttributeTree(width=4, hidden=8, size=32).state_dict()),
}


def held(shapes: Shapes) -> dict[str, Held]:
    return {key: Held(torch.empty(shape, device="meta")) for key, shape in shapes.items()}


def name_of(state: dict[str, Held]) -> str | None:
    known = known_as(state)
    return None if known is None else known.what


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("wrapper", ["", "module."])
def test_inspect_names_it_and_convert_keeps_its_keys(tmp_path: Path, name: str, wrapper: str) -> None:
    what, make = SMALL[name]
    state = {wrapper + key: tensor.detach() for key, tensor in make().items()}
    source, target = tmp_path / "in.pth", tmp_path / "out.safetensors"
    torch.save({"model": state, "epoch": 3} if wrapper else state, source)
    assert inspect(source)["network"] == what
    assert convert_command.run(argparse.Namespace(source=source, target=target, seed=0)) == 0
    again = load_state(target)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], tensor) for key, tensor in state.items())
    assert inspect(target)["network"] == what
    assert read(target).metadata["source_network"] == what


def test_the_published_keys_are_known(fixtures: Path) -> None:
    alex, vgg = keys(fixtures, "lpips_alex"), keys(fixtures, "lpips_vgg")
    named = {
        "IR-SE50: identity of faces": keys(fixtures, "ir_se50"),
        "Inception v3 of FID": keys(fixtures, "inception_fid"),
        "AlexNet: trunk of LPIPS": alex["trunk"],
        "VGG: trunk of LPIPS, or a classifier": vgg["trunk"],
    }
    for what, shapes in named.items():
        assert name_of(held(shapes)) == what
    for name in (alex, vgg):
        assert name_of(held(name["linear"])) == "LPIPS: linear layers"
        assert name_of(held(name["lpips_module"])) == "LPIPS: trunk and linear layers"
        assert name_of(held(name["trunk"] | name["linear"])) == "LPIPS: trunk and linear layers"


def test_parsers_are_known() -> None:
    with torch.device("meta"):
        networks = {
            "BiSeNet: a parser": BiSeNet(classes=19),
            "FCN: a parser": FCN(backbone=ResNet(dilated=True), classes=3),
            "UNet: a parser": UNet(classes=3),
            "VGG: trunk of LPIPS, or a classifier": VGG(),
        }
    for what, network in networks.items():
        assert name_of({key: Held(tensor) for key, tensor in network.state_dict().items()}) == what


def test_what_only_looks_like_one_gets_a_sentence(tmp_path: Path) -> None:
    state = FaceIdentity(width=16, dim=4).state_dict()
    for change in ({"body.24.a": torch.ones(1)}, {"output_layer.3.weight": torch.ones(())}):
        torch.save({**state, **change}, tmp_path / "in.pth")
        with pytest.raises(CheckpointError, match="FaceIdentity|IR-SE50"):
            convert_command.run(
                argparse.Namespace(source=tmp_path / "in.pth", target=tmp_path / "o.safetensors", seed=0)
            )
        facts = inspect(tmp_path / "in.pth")
        assert "FaceIdentity" in facts["network"] or "IR-SE50" in facts["network"]
    assert not (tmp_path / "o.safetensors").exists()
