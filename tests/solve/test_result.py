"""Steps and results: frozen, taken after any step, printed in a line."""

from dataclasses import FrozenInstanceError
from html import escape

import pytest
import torch

import maskedit as me
from tests import toys
from tests.solve.runs import edit


def test_steps_are_frozen_and_results_can_be_taken_after_any(problem):
    steps = me.steps(problem(), edit())
    first = next(steps)
    with pytest.raises(FrozenInstanceError):
        first.stage = "x"
    with pytest.raises(TypeError):
        first.raw["preserve"] = 0
    result = first.result()
    assert "ended early in stage 'fit', after 1 of 4 steps" in result.status[0].lower()
    second = next(steps)
    assert (second.index, second.step, second.planned, second.steps) == (1, 1, 16, 4)
    with pytest.raises(me.RunError, match="gone on"):
        first.result()


def test_watching_sees_every_step(problem):
    seen: list[me.Step] = []
    me.run(problem(), edit(), watch=seen.append)
    assert [s.index for s in seen] == list(range(16))
    assert [s.stage for s in seen] == ["fit"] * 4 + ["edit"] * 5 + ["settle"] * 3 + ["detail"] * 4


def test_what_users_see_prints_in_a_line():
    this = me.Problem(toys.models(), toys.pictures(2), "smiling")
    assert repr(this) == "Problem(2 x 16 px, Edit({'smiling': 1}) in mouth, start mean)"
    step = next(iter(me.steps(this, toys.plain())))
    assert "image=" not in repr(step)
    text = repr(step.result())
    assert text.startswith("Result(2 images, ")
    assert "History(fit: 1 steps; fit.preserve)" in text


def test_a_notebook_shows_each_picture_before_and_after_with_its_sentence(problem):
    result = me.run(problem(), edit())
    shown = result._repr_html_()
    assert torch.equal(result.original, problem().image)
    assert shown.count("src='data:image/png;base64,") == 2 * len(result.image)
    assert all(escape(sentence) in shown for sentence in result.status)
    assert "<td" in edit()._repr_html_()
