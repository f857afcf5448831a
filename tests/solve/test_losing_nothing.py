"""Nothing is lost: saves that fail, watchers that raise, signals, seeds and types that do not fit."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import maskedit as me
from tests import toys
from tests.solve.runs import edit, problem, same


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Saves into this folder fail."""

    def fail(folder: Path) -> None:
        whole = me.solve.saving.replacing

        def replacing(path):
            if Path(path).parent == folder:
                raise me.FileError(f"cannot write {path}", actual="no space left on device")
            return whole(path)

        monkeypatch.setattr(me.solve.saving, "replacing", replacing)

    return fail


def test_a_save_that_fails_is_warned_of_and_the_run_goes_on(tmp_path: Path, failing, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "gone").mkdir()
    failing(tmp_path / "gone")
    with pytest.warns(RuntimeWarning) as said:
        result = me.run(problem(), edit(), save=tmp_path / "gone" / "run", save_every=5)
    assert result.status == ("Finished.", "Finished.")
    assert "no space left" in str(said[0].message)
    assert "tries again" in str(said[0].message)
    assert "it is in" in str(said[-1].message)
    (kept,) = (tmp_path / "elsewhere").rglob("run")
    same(me.run(problem(), edit(), resume=kept), result)


def test_a_watcher_that_raises_leaves_what_was_reached(tmp_path: Path):
    def watch(step: me.Step) -> None:
        if step.index == 6:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as raised:
        me.run(problem(), edit(), watch=watch, save=tmp_path / "run", save_every=100)
    assert raised.value.result.history.total.shape[1] == 7
    same(me.run(problem(), edit(), resume=tmp_path / "run"), me.run(problem(), edit()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_signals_end_a_run_between_steps(ctrl_c, number):
    def watch(step: me.Step) -> None:
        if step.index == 3:
            os.kill(os.getpid(), number)

    result = me.run(problem(1), edit(), watch=watch)
    assert "ended early" in result.status[0].lower()
    assert result.history.total.shape[1] == 4


def test_two_runs_with_one_path_each_leave_a_whole_file(tmp_path: Path):
    path = tmp_path / "run"
    loops = [iter(me.steps(problem(1), edit())) for _ in range(2)]
    for _ in range(3):
        for loop in loops:
            next(loop).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    me.run(problem(1), edit(), resume=path)


@pytest.mark.parametrize("position", [0.02, 0.3, 0.6, 0.95])
def test_a_flipped_bit_in_a_saved_run_is_noticed(tmp_path: Path, position):
    for step in me.steps(problem(1), edit()):
        if step.index == 5:
            step.save(tmp_path / "run")
            break
    content = bytearray((tmp_path / "run").read_bytes())
    content[int(position * len(content))] ^= 4
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(me.CheckpointError):
        me.run(problem(1), edit(), resume=tmp_path / "run")


def test_another_lambda_is_another_schedule(tmp_path: Path):
    def stage(factor: float) -> me.Schedule:
        mine = me.Term("mine", lambda x: factor * x.square().flatten(1).mean(1), reads=lambda v: v.latent)
        return me.Schedule(me.Stage("fit", 6, mine, vary=me.latent()), blend=None)

    next(iter(me.steps(problem(1), stage(1.0)))).save(tmp_path / "run")
    assert str(stage(1.0)) == str(stage(2.0))
    with pytest.raises(me.CheckpointError, match="another schedule"):
        me.run(problem(1), stage(2.0), resume=tmp_path / "run")
    me.run(problem(1), stage(1.0), resume=tmp_path / "run")


@pytest.mark.parametrize("seeds", [[np.int64(3), 2**70], (3, 2**70), np.array([3, 7])])
def test_whole_numbers_of_any_kind_are_seeds(seeds):
    assert len(me.run(problem(), edit(), seeds=seeds).seeds) == 2


@pytest.mark.unhooked
@pytest.mark.parametrize("seeds", [3, [1.5, 2], ["a", "b"], [1], [1, 2, 3]])
def test_other_seeds_are_refused(seeds):
    with pytest.raises(me.InputError, match="one seed for each image"):
        me.run(problem(), edit(), seeds=seeds)


def test_two_precisions_work_side_by_side():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 1)).eval()

    class Classifier(torch.nn.Module):
        attributes = ("smiling",)

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def classify(self, image, attributes):
            return self.network(image)

    this = problem(models=toys.models(classifier=Classifier()))
    assert this.image.dtype == torch.float64
    stage = me.Stage("edit", 2, me.preserve("skin") + 0.01 * me.attribute("smiling"), vary=me.latent())
    assert me.run(this, me.Schedule(stage)).latent.dtype == torch.float64


@pytest.mark.parametrize("answer", [None, (1,), "x"])
def test_models_that_answer_something_else_are_named(answer):
    class Classifier:
        attributes = ("smiling",)

        def classify(self, image, attributes):
            return answer

    this = problem(models=toys.models(classifier=Classifier()))
    stage = me.Stage("edit", 2, me.attribute("smiling"), vary=me.latent())
    with pytest.raises(me.RunError, match="classifier was asked for smiling"):
        me.run(this, me.Schedule(stage))


def test_a_term_without_gradient_is_named():
    blind = me.Term("blind", lambda x: x.detach().flatten(1).mean(1), reads=lambda v: v.image)
    stage = me.Stage("fit", 2, me.preserve("skin") + blind, vary=me.latent())
    with pytest.raises(me.RunError, match=r"'blind'.*no gradient"):
        me.run(problem(), me.Schedule(stage))
    me.run(problem(), me.Schedule(me.Stage("fit", 2, me.preserve("skin") + 0 * blind, vary=me.latent())))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-100.0, 100.0), (0.0, 255.0)])
def test_a_generator_in_another_range_is_noticed(low, high):
    class Wide(toys.ToyGenerator):
        def synthesize(self, latent, noises):
            return low + (high - low) * super().synthesize(latent, noises)

    with pytest.warns(RuntimeWarning, match="another range"):
        me.run(problem(models=toys.models(generator=Wide())), edit())


def test_a_declared_range_is_the_same_edit():
    class Signed(toys.ToyGenerator):
        def synthesize(self, latent, noises):
            return 2 * super().synthesize(latent, noises) - 1

    look = me.Schedule(me.Stage("edit", 6, me.attribute("smiling"), vary=me.latent(lr=0.05)))
    plain = me.run(problem(), look)
    this = me.Problem(toys.models(generator=Signed()), 2 * toys.pictures() - 1, "smiling", range=(-1, 1))
    signed = me.run(this, look)
    torch.testing.assert_close(signed.latent, plain.latent)
    torch.testing.assert_close(signed.image, 2 * plain.image - 1)


def test_batch_norm_in_training_mode_is_refused():
    class Parser(torch.nn.Module):
        regions = ("skin", "mouth", "background")

        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(3)

        def parse(self, image, regions):
            return image

    with pytest.raises(me.InputError, match=r"parser is in training mode.*BatchNorm2d.*parser.eval\(\)"):
        me.run(
            problem(models=toys.models(parser=Parser())),
            me.Schedule(me.Stage("a", 1, me.preserve("skin"), vary=me.latent())),
        )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.latent(lr=-1), "a number from 0"),
        (lambda: me.latent(lr=float("nan")), "a number from 0"),
        (lambda: me.latent(optimizer="adam"), "torch.optim.Adam"),
        (lambda: me.Schedule([me.Stage("a", 1, me.preserve("skin"), vary=me.latent())]), "one after another"),
        (lambda: float("nan") * me.preserve("skin"), "finite number"),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary=me.latent), "cannot vary"),
        (lambda: me.Stage("a", True, me.preserve("skin"), vary=me.latent()), "number of steps"),
        (lambda: me.run(problem(), me.Stage("a", 1, me.preserve("skin"), vary=me.latent())), "is no Schedule"),
        (lambda: me.run(problem(), edit(), watch=[print]), "function of a step"),
        (lambda: me.Term("x", torch.nn.MSELoss), "Make one of the class"),
        (lambda: me.Threshold(0.1, "total"), "a name and a number"),
    ],
)
@pytest.mark.unhooked
def test_misuse_gets_a_sentence(make, says):
    with pytest.raises(me.InputError, match=says):
        make()


@pytest.mark.unhooked
def test_numpys_numbers_are_numbers():
    stage = me.Stage("a", np.int64(2), np.float32(0.5) * me.preserve("skin"), vary=me.latent(lr=np.float32(0.01)))
    assert me.run(problem(), me.Schedule(stage)).history.total.shape[1] == 2


def test_a_run_inside_inference_mode_runs():
    this = problem(1)
    with torch.inference_mode():
        result = me.run(this, edit())
    same(result, me.run(problem(1), edit()))
