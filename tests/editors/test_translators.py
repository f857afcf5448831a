"""StarGAN, AttGAN and STGAN as editors: their files, their answers, their refusals."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from maskedit.edit import Edit
from maskedit.editors import Editor, Translator, attgan, capability_table, stargan, stgan
from maskedit.errors import CheckpointError, InputError
from maskedit.models.networks.attgan import AttGAN
from maskedit.models.networks.stargan import StarGAN
from maskedit.models.networks.stgan import STGAN
from tests.editors.conftest import Seeing
from tests.models.files.test_tensorflow import write

NAMES = ("blond_hair", "black_hair", "smiling")
SEEN = Seeing({"black_hair": [1, 0], "blond_hair": [0, 0], "smiling": [0, 1]})
METHODS = {
    "stargan": (stargan, lambda: StarGAN(attributes=3, width=4, blocks=1)),
    "attgan": (attgan, lambda: AttGAN(attributes=3, width=4)),
    "stgan": (stgan, lambda: STGAN(attributes=3, width=4, unit_width=4)),
}


@pytest.fixture(params=METHODS)
def editor(request, tmp_path) -> Translator:
    load, make = METHODS[request.param]
    path = tmp_path / "net.safetensors"
    save_file(make().state_dict(), path, {"attributes": ",".join(NAMES), "size": "32"})
    return load(path, classifier=SEEN)


def pictures(size: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_an_edit_is_the_network_told_the_right_thing(editor) -> None:
    assert isinstance(editor, Editor)
    images = pictures(32)
    edited = editor.edit(images, Edit({"blond_hair": 1}), [0, 0])
    told = {
        "StarGAN": [[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]],
        "AttGAN": [[1.0, -0.5, -0.5], [1.0, -0.5, 0.5]],
        "STGAN": [[1.0, -1.0, 0.0], [1.0, 0.0, 0.0]],
    }[editor.name]
    expected = (editor.network(2 * images - 1, torch.tensor(told)) + 1) / 2
    torch.testing.assert_close(edited.images, expected)
    assert edited.seconds > 0
    assert edited.capabilities == editor.capabilities


def test_pictures_come_back_at_their_size_and_a_batch_is_its_singles(editor) -> None:
    images = pictures(64)
    edited = editor.edit(images, Edit({"smiling": 0}), [0, 0]).images
    assert edited.shape == images.shape
    assert 0 <= float(edited.min()) <= float(edited.max()) <= 1
    editor.classifier = Seeing({name: values[:1] for name, values in SEEN.seen.items()})
    alone = editor.edit(images[:1], Edit({"smiling": 0}), [0]).images
    torch.testing.assert_close(edited[:1], alone, atol=1e-5, rtol=0)


def test_what_is_beyond_it_is_refused_in_a_sentence(editor) -> None:
    images = pictures()
    for edit, said in (
        (Edit({"wings": 1}), f"the {editor.name} has no attribute 'wings'; expected one of blond_hair, black_hair"),
        (Edit({"smiling": 1}, size={"mouth": 1.5}), f"{editor.name} cannot change sizes"),
        (Edit({"smiling": 1}, hold=["blond_hair"]), f"{editor.name} cannot be told what to hold"),
    ):
        with pytest.raises(InputError, match=said):
            editor.edit(images, edit, [0, 0])
    if editor.name == "StarGAN":
        with pytest.raises(InputError, match="StarGAN knows no strength; expected targets of 0 or 1; got 0.7"):
            editor.edit(images, Edit({"smiling": 0.7}), [0, 0])
    else:
        assert editor.edit(images, Edit({"smiling": 0.7}), [0, 0]).images.shape == images.shape
    editor.classifier = Seeing({"smiling": [1, 1]})
    with pytest.raises(InputError, match="the classifier has no attribute 'blond_hair'"):
        editor.edit(images, Edit({"smiling": 1}), [0, 0])


def test_released_files_load_by_their_own_facts(tmp_path: Path) -> None:
    """Torch files; AttGAN's weights under 'G', with its setting.txt one folder above."""
    network = StarGAN(width=4, blocks=1)
    torch.save(network.state_dict(), tmp_path / "200000-G.ckpt")
    found = stargan(tmp_path / "200000-G.ckpt", classifier=SEEN)
    assert found.capabilities.attributes == ("black_hair", "blond_hair", "brown_hair", "male", "young")
    assert found.capabilities.resolution == 128

    (tmp_path / "checkpoint").mkdir()
    torch.save({"G": AttGAN(attributes=2, width=4).state_dict()}, tmp_path / "checkpoint" / "weights.49.pth")
    setting = {"attrs": ["Bald", "Young"], "img_size": 256, "shortcut_layers": 1, "inject_layers": 1, "thres_int": 0.5}
    (tmp_path / "setting.txt").write_text(json.dumps(setting))
    found = attgan(tmp_path / "checkpoint" / "weights.49.pth", classifier=SEEN)
    assert found.capabilities.attributes == ("bald", "young")
    assert found.capabilities.resolution == 256
    (tmp_path / "setting.txt").write_text("{}")
    with pytest.raises(CheckpointError, match=r"setting.txt is no setting.txt of AttGAN's; expected JSON"):
        attgan(tmp_path / "checkpoint" / "weights.49.pth", classifier=SEEN)


def test_stgans_tensorflow_checkpoint_loads(tmp_path: Path) -> None:
    """A network of ours, its weights turned and named as TensorFlow has them."""
    network = STGAN(width=4, unit_width=4).eval()
    variables = {}
    for key, value in network.state_dict().items():
        net, number, rest = key.split(".", 2)
        i = int(number)
        name = {"encoder": "Genc/Conv", "decoder": "Gdec/Conv2d_transpose", "stu": "Gstu/Conv"}[net]
        if net == "stu":
            kind = ("reset", "update", "candidate", "upsample").index(rest.split(".")[0])
            i, name = (i, "Gstu/Conv2d_transpose") if kind == 3 else (3 * i + kind, name)
        part = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        leaf = {"weight": "weights", "bias": "biases"}.get(rest.split(".")[-1])
        name += f"_{i}/" if i else "/"
        name += f"BatchNorm/{part[rest.split('.')[-1]]}" if "norm" in rest else str(leaf)
        variables[name] = (value.permute(2, 3, 1, 0) if value.ndim == 4 else value).contiguous().numpy()
    write(tmp_path / "Epoch_(99).ckpt", variables)
    found = stgan(tmp_path / "Epoch_(99).ckpt", classifier=SEEN)
    assert found.capabilities.attributes[0] == "bald"
    picture, told = torch.rand(1, 3, 32, 32), torch.rand(1, 13)
    torch.testing.assert_close(found.network(picture, told), network(picture, told))


def test_files_of_other_sizes_and_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(AttGAN(attributes=3, width=4).state_dict(), path)
    with pytest.raises(InputError, match="AttGAN has another number of attributes; expected 3 names; got bald, bangs"):
        attgan(path, classifier=SEEN)
    with pytest.raises(CheckpointError, match="this is no StarGAN"):
        stargan(path, classifier=SEEN)
    with pytest.raises(CheckpointError, match="this is no STGAN"):
        stgan(path, classifier=SEEN, attributes=NAMES)


def test_the_table_is_what_the_editors_say(editor) -> None:
    table = capability_table([editor]).splitlines()
    assert table[0].startswith("| editor | attributes | removal")
    strength = "no" if editor.name == "StarGAN" else "yes"
    assert table[2] == f"| {editor.name} | 3 | yes | yes | {strength} | no | no | 32 px |"
