"""Ctrl-C: after the step under way, with what was reached."""

import os
import signal

import pytest
from torch import nn

import maskedit as me
from tests.solve.runs import edit, same


@pytest.mark.usefixtures("ctrl_c")
def test_control_c_returns_what_there_is_after_the_step_under_way(problem, tmp_path):
    def watch(step: me.Step) -> None:
        if step.index == 6:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = me.run(problem(), edit(), watch=watch, save=tmp_path / "run.safetensors")
    assert signal.getsignal(signal.SIGINT) is before
    assert result.history.total.shape == (2, 7)
    assert "ended early in stage 'edit', after 3 of 5 steps" in result.status[0].lower()
    same(me.run(problem(), edit(), resume=tmp_path / "run.safetensors"), me.run(problem(), edit()))


def test_control_c_before_the_first_step_is_not_swallowed(problem):
    class Stops(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    term = me.Term("stops", Stops(), reads=lambda v: v.latent)
    with pytest.raises(KeyboardInterrupt):
        me.run(problem(), me.Schedule(me.Stage("fit", 1, term, vary=me.latent())))
