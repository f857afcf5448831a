"""A person's own files as the models of an edit."""

from functools import partial
from pathlib import Path

import pytest
import torch

import maskedit as me
from maskedit.commands import main
from maskedit.errors import CheckpointError
from maskedit.models import load_models
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.psp import PSP
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.restyle import ReStyle
from maskedit.models.region_labels import RELEASED_LABELS
from tests.models.files.checkpoint_files import tiny_generator
from tests.models.files.test_encoder_files import AVERAGE, DIM, OPTIONS, encoder, write


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """As few numbers as the networks can have; the generator is in the encoder's checkpoint."""
    folder = tmp_path_factory.mktemp("weights")
    own = {name: folder / f"{name}.ckpt" for name in ("generator", "encoder", "parser", "classifier")}
    own["generator"] = own["encoder"]
    stylegan = tiny_generator(latent_dim=DIM)
    write(own["encoder"], encoder(progressive=True), stylegan, latent_avg=AVERAGE[:1], opts=OPTIONS["e4e"])
    parser = DeepLabV3(backbone=ResNet(width=4, dilated=True), classes=len(RELEASED_LABELS), hidden=4)
    torch.save({"state_dict": parser.state_dict()}, own["parser"])
    torch.save({"state_dict": AttributeTree(width=4, hidden=8, size=32).state_dict()}, own["classifier"])
    return own


@pytest.mark.filterwarnings("ignore:the generator's pictures")  # random weights draw in any range
def test_models_come_from_files(files: dict[str, Path]) -> None:
    models = load_models(**files)
    assert isinstance(models.encoder, PSP)
    torch.testing.assert_close(models.mean_latent, AVERAGE[:1].expand(6, DIM))
    problem = me.Problem(models, torch.rand(1, 3, 16, 16), {"smiling": 1.0}, start="encoder")
    result = me.run(problem, me.recipes.fast("smiling", steps=(1, 1, 1, 1)), seeds=[0])
    assert result.status == ("Finished.",)
    assert load_models(generator=files["generator"]).parser is None


def test_restyle_draws_with_the_same_generator(files: dict[str, Path], tmp_path: Path) -> None:
    options = {"encoder_type": "BackboneEncoder", "input_nc": 6}
    path = write(tmp_path / "x.pt", encoder(inputs=6, pyramid=False), None, latent_avg=AVERAGE, opts=options)
    models = load_models(generator=files["generator"], encoder=path)
    assert isinstance(models.encoder, ReStyle)
    assert models.encoder.generator is models.generator


def test_a_file_in_the_wrong_place_gets_a_sentence(files: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"holds no parser .*expected DeepLabV3, BiSeNet; got attribute tree"):
        load_models(generator=files["generator"], parser=files["classifier"])
    with pytest.raises(CheckpointError, match="holds no classifier .*got DeepLabV3: a parser"):
        load_models(generator=files["generator"], classifier=files["parser"])
    with pytest.raises(CheckpointError, match="holds no encoder"):
        load_models(generator=files["generator"], encoder=files["parser"])


@pytest.mark.filterwarnings("ignore:the generator's pictures")
def test_the_command_line_takes_them(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), "gray").save(tmp_path / "photo.png")
    points = "25 28\n39 28\n32 36\n27 44\n37 44\n"
    (tmp_path / "points.txt").write_text(points)
    own = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    face = ["--landmarks", str(tmp_path / "points.txt"), "--recipe", "shortest"]
    out = tmp_path / "out"
    assert main(["edit", str(tmp_path / "photo.png"), "--set", "smiling", "--out", str(out), *own[:2]]) == 2
    assert "--parser, --classifier too" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        from maskedit.photo import editing

        shortest = {"shortest": partial(me.recipes.fast, steps=(1, 1, 1, 1))}
        patch.setattr(editing, "RECIPES", shortest)
        assert main(["edit", str(tmp_path / "photo.png"), "--set", "smiling", "--out", str(out), *face, *own]) == 0
    assert list(out.glob("photo*"))
