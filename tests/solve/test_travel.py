"""Values travel: results, histories, steps, schedules and edits are pickled, copied, sent to a process, saved."""

import copy
import multiprocessing
import pickle
from pathlib import Path

import pytest
import torch

import maskedit as me
from tests import toys
from tests.solve.runs import edit, problem

SHORT = me.recipes.paper("smiling", steps=(2, 2, 2, 2))


def equal(one: me.Result, other: me.Result) -> None:
    for name in ("image", "generated", "latent", "frozen"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert all(torch.equal(a, b) for a, b in zip(one.noises, other.noises, strict=True))
    assert all(torch.equal(value, other.masks[name]) for name, value in one.masks.items())
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(one.patches, other.patches, strict=True))
    assert (one.status, one.seeds, one.history.stages) == (other.status, other.seeds, other.history.stages)
    for name, values in one.history.raw.items():
        torch.testing.assert_close(values, other.history.raw[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("travel", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy], ids=["pickle", "copy"])
def test_a_result_comes_back_whole(travel):
    result = me.run(problem(), edit())
    equal(travel(result), result)


@pytest.mark.parametrize("travel", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy], ids=["pickle", "copy"])
@pytest.mark.parametrize(
    "value", [edit(), SHORT, me.recipes.plausible("smiling")], ids=["schedule", "paper", "plausible"]
)
def test_schedules_come_back_and_do_the_same(travel, value):
    assert str(travel(value)) == str(value)
    if value is SHORT:
        equal(me.run(problem(), travel(value)), me.run(problem(), value))


def test_a_step_leaves_its_run_behind():
    step = next(iter(me.steps(problem(), edit())))
    there = pickle.loads(pickle.dumps(step))
    assert torch.equal(there.latent, step.latent)
    assert there.stage == step.stage
    with pytest.raises(me.RunError, match="away from its run"):
        there.result()


def test_an_edit_comes_back():
    wish = me.Edit({"smiling": 0.8}, size={"mouth": 1.2}, hold=["pale_skin"])
    assert pickle.loads(pickle.dumps(wish)) == wish == copy.deepcopy(wish)


def worked(schedule: me.Schedule) -> me.Result:
    return me.run(problem(1), schedule)


def test_a_spawned_worker_takes_a_schedule_and_gives_a_result():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(worked, (SHORT,))
    here = worked(SHORT)
    torch.testing.assert_close(there.latent, here.latent)
    assert there.status == here.status


def test_a_saved_result_comes_back_whole(tmp_path: Path):
    result = me.run(problem(), edit())
    result.save(tmp_path / "r.safetensors")
    equal(me.load_result(tmp_path / "r.safetensors"), result)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.safetensors"]


@pytest.mark.parametrize("content", [b"", b"no", b"\xff" * 64, b'{"a": 1}'])
def test_what_is_no_saved_result_is_refused(tmp_path: Path, content):
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(me.CheckpointError, match="saved result"):
        me.load_result(tmp_path / "r")


def test_a_result_shows_itself_in_a_notebook():
    result = me.run(problem(1), SHORT)
    assert result._repr_html_().count("<img") == 2  # before and after
    assert "<table" in SHORT._repr_html_()


def test_models_are_left_as_they_were():
    trio = toys.models()
    me.run(problem(1, models=trio), SHORT)
    assert trio.mean_latent is not None
    assert not trio.mean_latent.requires_grad
