"""Saving and resuming: the same bits as a run that was never broken off."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import maskedit as me
from tests.solve.runs import edit, same


@pytest.mark.parametrize("at", range(15))
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(problem, tmp_path, at):
    file = tmp_path / "run.safetensors"
    unbroken = me.run(problem(), edit(keep_best=True), seeds=[3, 4])
    for step in me.steps(problem(), edit(keep_best=True), seeds=[3, 4]):
        if step.index == at:
            step.save(file)
            break
    same(me.run(problem(), edit(keep_best=True), resume=file), unbroken)
    assert os.listdir(tmp_path) == ["run.safetensors"]


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9), torch.optim.NAdam])
@pytest.mark.parametrize("choice", [{}, {"layers": [0, 2]}, {"components": 3}, {"along": ["smiling"]}])
def test_every_variable_and_optimiser_resumes(problem, tmp_path, optimizer, choice):
    stage = me.Stage("fit", 6, me.preserve("skin"), vary=me.latent(lr=0.05, optimizer=optimizer, **choice))
    schedule = me.Schedule(stage)
    for step in me.steps(problem(), schedule):
        if step.index == 2:
            step.save(tmp_path / "s")
    same(me.run(problem(), schedule, resume=tmp_path / "s"), me.run(problem(), schedule))


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from tests.solve.runs import edit, problem
import maskedit as me

def watch(step):
    if step.index == 10:
        os.kill(os.getpid(), signal.SIGKILL)

me.run(problem(), edit(), seeds=[1, 2], watch=watch, save=sys.argv[1], save_every=4)
"""


def test_a_killed_run_resumes_to_the_same_bits(problem64, tmp_path):
    file = tmp_path / "run.safetensors"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file), str(ROOT)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed = me.run(problem64(), edit(), resume=file)
        same(resumed, me.run(problem64(), edit(), seeds=[1, 2]))
    finally:
        torch.set_num_threads(threads)


def test_resuming_refuses_another_run(problem, tmp_path):
    file = tmp_path / "run"
    next(me.steps(problem(), edit())).save(file)
    with pytest.raises(me.CheckpointError, match="another schedule"):
        me.run(problem(), edit(stop=me.Threshold("total", 0.0)), resume=file)
    with pytest.raises(me.CheckpointError, match="other inputs"):
        me.run(replace(problem(), image=problem().image * 0.9), edit(), resume=file)
    with pytest.raises(me.InputError, match="other seeds"):
        me.run(problem(), edit(), resume=file, seeds=[5, 5])
    with pytest.raises(me.CheckpointError, match="no file"):
        me.run(problem(), edit(), resume=tmp_path / "none")
    (tmp_path / "torn").write_bytes(file.read_bytes()[:100])
    with pytest.raises(me.CheckpointError, match="cannot be read"):
        me.run(problem(), edit(), resume=tmp_path / "torn")


def test_other_threads_are_warned_of(problem, tmp_path):
    file = tmp_path / "run"
    next(me.steps(problem(), edit())).save(file)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.warns(UserWarning, match="not be the same to the last bit"):
            me.run(problem(), edit(), resume=file)
    finally:
        torch.set_num_threads(threads)


ROOT = Path(__file__).parents[2]
