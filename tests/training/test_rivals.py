"""The losses of StarGAN, AttGAN and STGAN are the released programs'; their trainings resume, and learn."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from maskedit.errors import InputError
from maskedit.models.networks.attgan import AttGAN, AttGANDiscriminator
from maskedit.models.networks.stargan import StarGAN, StarGANDiscriminator
from maskedit.models.networks.stgan import STGAN, STGANDiscriminator
from maskedit.training import attgan, loop, stargan, stgan
from maskedit.training.adversarial import cross_entropy, gradient_penalty, others_labels
from maskedit.training.loop import step_rng
from tests.models.networks.rivals import Reference

METHODS = {
    "stargan": (stargan, StarGAN, StarGANDiscriminator, None, ("D_loss", "G_loss")),
    "attgan": (attgan, AttGAN, AttGANDiscriminator, "dec_layers.4.layers.0.weight", ("d_loss", "g_loss")),
    "stgan": (stgan, STGAN, STGANDiscriminator, "decoder.4.conv.weight", ("d_loss", "g_loss")),
}
STGAN_NAMES = {
    "df_loss": "d_loss_adv",
    "df_gp": "d_loss_gp",
    "dc_loss": "d_loss_att",
    "gf_loss": "g_loss_adv",
    "gc_loss": "g_loss_att",
    "gr_loss": "g_loss_rec",
}


@pytest.mark.parametrize("name", METHODS)
def test_losses_and_gradients_are_the_released_programs(fixtures, name) -> None:
    module, generator, discriminator, weaker, totals = METHODS[name]
    reference = Reference(fixtures, name)
    networks = reference.filled(generator(), weaker=weaker), reference.filled(discriminator())
    photos, labels = reference.image.float(), reference["labels"].float()
    wanted = labels[reference.values.get("label_permutation", torch.tensor([1, 0]))]
    losses = [
        ("d_grad_norms", module.discriminator_losses(*networks, photos, labels, wanted, reference["alpha"].float())),
        ("g_grad_norms", module.generator_losses(*networks, photos, labels, wanted)),
    ]
    for (norms, (total, parts)), named, network in zip(losses, totals, reversed(networks), strict=True):
        reference.check_loss(named, total)
        for part, value in parts.items():
            reference.check_loss(STGAN_NAMES[part] if name == "stgan" else part, value)
        reference.check_norms(norms, total, network)


def test_what_is_not_known_is_neither_wanted_nor_learned() -> None:
    labels = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5]])
    wanted = others_labels(labels, step_rng(0, 0))
    assert set(wanted.flatten().tolist()) == {0.0, 0.5, 1.0}
    for picture, own in zip(wanted, labels, strict=True):
        other = labels[1] if torch.equal(own, labels[0]) else labels[0]
        expected = (own, torch.where(other == 0.5, own, other))
        assert any(torch.equal(picture, one) for one in expected)
    logits = torch.randn(2, 3, requires_grad=True)
    cross_entropy(logits, labels).sum().backward()
    assert ((logits.grad == 0) == (labels == 0.5)).all()


def test_gradient_penalty_of_a_plane() -> None:
    """The gradient of 3 x_1 + 4 x_2, summed over two outputs, is 10 long everywhere."""
    mixed = torch.rand(2, 3, 4, 4)
    assert float(gradient_penalty(lambda x: torch.stack([3 * x[:, 0, 0, 0] + 4 * x[:, 1, 1, 1]] * 2), mixed)) == 81


@pytest.fixture(params=METHODS)
def command(request: pytest.FixtureRequest, drawn_faces: Path, drawn_labels: Path):
    """Runs one of the trainings, tiny, into a folder."""
    numbers = "--steps 4 --every 2 --batch 2 --critic 2 --width 4 --attributes black_hair,gray_hair,smiling".split()
    small = {"stargan": "--size 16 --layers 4 --blocks 1", "attgan": "--size 64 --hidden 8"}
    numbers += small.get(request.param, small["attgan"]).split()
    folders = ["--faces", str(drawn_faces), "--labels", str(drawn_labels)]
    module = METHODS[request.param][0]
    return request.param, lambda out, *more: module.main([*folders, "--out", str(out), *numbers, *more])


def test_resumed_equals_unbroken_and_the_generator_loads(command, tmp_path, monkeypatch) -> None:
    name, run = command
    run(tmp_path / "unbroken")
    keep = loop.save_checkpoint

    def keep_then_die(path, kept, step, seconds):
        keep(path, kept, step, seconds)
        if step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", keep_then_die)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "broken")
    run(tmp_path / "broken")
    unbroken, resumed = (load_file(tmp_path / place / "checkpoint.safetensors") for place in ("unbroken", "broken"))
    assert unbroken.keys() == resumed.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, resumed[key]), key
    made = tmp_path / "broken" / f"{name}.safetensors"
    with safe_open(made, framework="pt") as file:
        assert file.metadata()["attributes"] == "black_hair,gray_hair,smiling"
    METHODS[name][1].from_state_dict(load_file(made))
    assert (tmp_path / "broken" / "sheet.png").exists()
    lines = [json.loads(line) for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]


def test_bad_numbers_are_refused(command, tmp_path) -> None:
    _, run = command
    with pytest.raises(InputError, match="no labels are known for the attribute 'wings'"):
        run(tmp_path, "--attributes", "smiling,wings")
    with pytest.raises(InputError, match="fewer photos than one batch has; expected 99; got 6"):
        run(tmp_path / "other", "--batch", "99")
