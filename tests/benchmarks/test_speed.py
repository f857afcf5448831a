"""The benchmarks compare like with like, and their commands run."""

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest
import torch

import maskedit as me
from benchmarks.faces import recipes
from benchmarks.speed import attribute_tree, gpu, losses, own_weights, roofline, times, workload
from maskedit.models import load_models
from maskedit.models.files.inspect import inspect
from tests import toys

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stage", workload.STAGES)
def test_the_port_takes_the_same_steps(stage: str) -> None:
    """The first objective and gradients are equal; so are, nearly, the objectives after steps of Adam."""
    totals, gradients = [], []
    for variant in ("ours", "naive"):
        problem = workload.problem(16, 2, stage, narrower=16, dtype=torch.float64)
        made: list[workload.FirstGradient] = []
        totals.append(torch.stack(list(islice(workload.steps(variant, problem, stage, made), 3))))
        gradients.append(workload.first_gradient(made, batch=2))
    assert gradients[0].shape == gradients[1].shape
    assert gradients[1].norm() > 0
    torch.testing.assert_close(totals[0][0], totals[1][0], rtol=1e-9, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9 * gradients[1].abs().max().item())
    torch.testing.assert_close(totals[0], totals[1], rtol=1e-5, atol=0)
    assert not torch.equal(totals[0][0], totals[0][2])


def test_roofline_counts_the_networks_convolutions() -> None:
    """By hand: 4 px 3x3 and ToRGB; the transposed one from 4 px; 8 px 3x3 and ToRGB; forward and backward."""
    macs = 9 * 5 * 5 * 16 + 3 * 5 * 16 + 9 * 5 * 2 * 16 + 9 * 2 * 2 * 64 + 3 * 2 * 64
    assert roofline.operations([5, 2], batch=3) == 3 * 2 * 2 * macs


def test_iteration_writes_a_row(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = "--size 64 --stage fit --dtype float32 --allocator kept --narrower 16 --repeats 1 --seconds 0"
    command = [sys.executable, "-m", "benchmarks.speed.iteration", *options.split(), "--json", str(file)]
    subprocess.run(command, cwd=ROOT, check=True)
    (row,) = json.loads(file.read_text())["rows"]
    asked = "stage size dtype batch seconds naive_seconds ratio roofline_ratio peak_bytes naive_peak_bytes"
    assert set(asked.split()) <= row.keys()
    assert row["ratio"] == pytest.approx(row["naive_seconds"] / row["seconds"])
    assert row["objective_difference"] < 1e-4
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", losses.cases(16))
def test_losses_are_compared_with_the_same_formulas(name: str) -> None:
    loss, formula, inputs = losses.cases(16)[name]
    values, gradients = [], []
    for function in (loss, formula):
        leaf = inputs[0].detach().requires_grad_()
        values.append(function(leaf, *inputs[1:]))
        gradients.append(torch.autograd.grad(values[-1].sum(), leaf)[0])
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


def test_overhead_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.speed.overhead", "--narrower=16", "--rounds=2", "--steps=1"]
    assert "overhead" in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_objective_of_an_edit_is_the_papers_with_its_noise() -> None:
    """A stage that moves nothing, with random noise maps, has that total at its one step."""
    problem = me.Problem(toys.models(), toys.pictures(2), "smiling", start="encoder")
    terms = me.recipes.paper("smiling").stages[1].terms + me.white_noise()
    vary = [me.latent(lr=0.0), me.noise(lr=0.0)]
    still = me.Stage("still", 1, terms, vary=vary, on_enter=[me.RedrawNoise()])
    result = me.run(problem, me.Schedule(still))
    assert result.noises[-1].std() > 0.5
    torch.testing.assert_close(recipes.objective(problem, "smiling", result), result.history.total[:, 0])


def test_a_shorter_schedule_has_a_share_of_each_stage() -> None:
    schedule = recipes.shorter(me.recipes.paper("smiling"), 0.01)
    assert [stage.steps for stage in schedule] == [5, 2, 3, 5]
    assert schedule.blend == me.recipes.paper("smiling").blend


def test_the_gpu_s_command_can_be_tried_without_one(tmp_path: Path) -> None:
    """One row as a process writes it: a stage as it is, in half precision."""
    command = (
        "-m benchmarks.speed.gpu --device cpu --size 8 --narrower 64 --steps 2 --stage fit --way eager --dtype bfloat16"
    )
    found = tmp_path / "rows.json"
    subprocess.run([sys.executable, *command.split(), "--json", str(found)], cwd=ROOT, check=True, capture_output=True)
    (row,) = json.loads(found.read_text())["rows"]
    assert row["steps_per_second"] == pytest.approx(1 / row["seconds"])


def test_a_generator_drawn_in_another_way_takes_the_same_steps() -> None:
    problem = workload.problem(16, 1, "fit", narrower=16)
    drawn: list[int] = []

    def synthesize(latent: torch.Tensor, noises: Sequence[torch.Tensor]) -> torch.Tensor:
        drawn.append(len(latent))
        return gpu.Flat(problem.models.generator)(latent, *noises)  # type: ignore[arg-type]

    models = me.Models(gpu.Prepared(problem.models.generator, synthesize), problem.models.parser)
    other = me.Problem(models, problem.image, problem.edit, start=problem.start)
    totals = [[step.total for step in islice(me.steps(p, workload.schedule("fit")), 3)] for p in (problem, other)]
    assert len(drawn) == 3
    torch.testing.assert_close(totals[0], totals[1])


def test_a_single_round_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    losses.main(["--size=16", "--rounds=1"])
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(losses.cases(16))
    with pytest.raises(SystemExit, match="2"):
        losses.main(["--rounds=0"])


def test_help_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute_tree, "AttributeTree", None)
    with pytest.raises(SystemExit, match="0"):
        attribute_tree.main(["--help"])


def test_the_middle_half() -> None:
    assert times.middle([5.0]) == (5.0, 5.0, 5.0)
    low, median, high = times.middle([1.0, 2.0, 3.0, 4.0, 100.0])
    assert low < median == 3.0 < high


def test_ones_own_weights_are_written_in_the_published_forms(tmp_path: Path) -> None:
    paths = own_weights.write_files(tmp_path, 16, narrower=4)
    assert inspect(paths["encoder"])["network"] == "e4e, an encoder"
    models = load_models(**paths)
    problem = me.Problem(models, torch.rand(1, 3, 16, 16), {"smiling": 1.0}, start="encoder")
    assert problem.start_latent().std() < 10  # weights by formula do not explode
    assert own_weights.write_files(tmp_path, 16, narrower=4) == paths  # what is there stays
