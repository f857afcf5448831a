"""Every example runs as a script, and ends as it says."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import maskedit as me

EXAMPLES = Path(__file__).parents[1] / "examples"
CHECKED = ("one_loss", "with_and_without", "custom_schedule", "stepping_by_hand", "resume", "gallery")


@pytest.fixture(autouse=True)
def as_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)  # where Python looks when it runs a script from there


def run(name: str) -> dict[str, Any]:
    """The variables that an example leaves."""
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


@pytest.mark.parametrize("name", sorted({path.stem for path in EXAMPLES.glob("*.py")} - set(CHECKED)))
def test_example_runs(name: str) -> None:
    run(name)


def test_one_loss_brings_every_photo_nearer() -> None:
    losses = run("one_loss")["losses"]
    assert losses[0].shape == (2,)
    assert (losses[-1] < 0.1 * losses[0]).all()


def test_with_and_without_agree_on_an_edit_that_shows() -> None:
    left = run("with_and_without")
    assert left["changed"] > 0.2
    assert left["difference"] < 1e-4


def test_custom_schedule_does_what_it_asks_for() -> None:
    left = run("custom_schedule")
    result, problem = left["result"], left["problem"]
    assert (left["after"] > left["before"] + 1).all()  # logits of both attributes, both photos
    assert (result.history.raw["edit.looks"].nan_to_num(1.0).amin(dim=1) <= 0.1).all()
    assert all("'edit' stopped" in sentence for sentence in result.status)
    change = result.masks["blend"] * (result.generated - problem.image)
    torch.testing.assert_close(result.image, problem.image + change)


def test_custom_schedule_moves_what_it_says_and_clamps_sizes() -> None:
    left = run("custom_schedule")
    ends = {step.stage: step.latent for step in me.steps(left["problem"], left["schedule"])}
    fitted, edited, settled = ends["fit"], ends["edit"], ends["settle"]
    assert torch.equal(fitted[:, 1, :3], edited[:, 1, :3])  # the skin's row
    assert not torch.equal(fitted[:, 0, :3], edited[:, 0, :3])
    assert (edited[:, :, 3].abs() <= 0.1).all()
    assert not (settled[:, :, 3].abs() <= 0.1).all()  # so the event had something to do


def test_stepping_by_hand_breaks_off_where_it_says() -> None:
    left = run("stepping_by_hand")
    step, result = left["step"], left["result"]
    assert step.stage == "edit"
    assert step.step + 1 < step.steps
    assert step.raw["blond_hair"].item() < 0.2
    assert result.history.total.shape == (1, step.index + 1)
    assert len(left["frames"]) == 1 + step.index // 20


def test_resume_gives_the_same_bits() -> None:
    left = run("resume")
    assert left["step"].index == 40
    assert torch.equal(left["unbroken"].image, left["resumed"].image)
    assert torch.equal(left["unbroken"].history.total, left["resumed"].history.total)


def test_gallery_draws_what_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gallery.py", "blond_hair", "mouth_slightly_open=0"])
    columns = run("gallery")["columns"]
    assert list(columns) == ["photo", "blond hair", "mouth slightly open removed"]
    assert all((column - columns["photo"]).abs().amax() > 0.1 for column in list(columns.values())[1:])
    assert Path("gallery.png").stat().st_size > 0


def test_toy_parser_shares_each_pixel_out() -> None:
    left = run("toy_models")
    parser, photos = left["ToyParser"](), left["toy_photos"](3)
    shares = parser.parse(photos, parser.regions)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(3, 32, 32))
    assert (shares.mean(dim=(2, 3)) > torch.tensor([0.3, 0.1, 0.05, 0.003])).all()


def test_toy_models_are_models() -> None:
    left = run("toy_models")
    models = left["toy_models"]()
    assert isinstance(models.generator, me.Generator)
    assert isinstance(models.parser, me.Parser)
    assert isinstance(models.classifier, me.Classifier)
