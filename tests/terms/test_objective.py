"""Objectives: how terms add up, weigh, move and print."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import maskedit as me
from tests.terms.cases import TERMS


@given(st.permutations(range(len(TERMS))))
def test_the_order_of_terms_does_not_matter(view, close, order):
    this = view()
    plain, mixed = (me.Objective([TERMS[i] for i in o]) for o in (range(len(TERMS)), order))
    close(plain(this).total, mixed(this).total)
    assert set(plain(this).raw) == set(mixed(this).raw)


@given(st.floats(0, 10), st.floats(0, 10))
def test_totals_are_linear_in_the_weights(view, close, a, b):
    this, one, two = view(), TERMS[0], TERMS[1]
    total = (a * one + b * two)(this).total
    close(total, a * one(this) + b * two(this))
    close((2 * (a * one + b * two))(this).total, 2 * total)


@given(st.lists(st.sampled_from([2.0, 0.5, lambda step: step + 1.0]), min_size=1, max_size=3), st.integers(0, 5))
def test_weights_multiply_whether_numbers_or_functions(view, close, factors, step):
    term, expected = me.preserve("skin"), 1.0
    for factor in factors:
        term = factor * term
        expected *= factor(step) if callable(factor) else factor
    this = view()
    close(me.Objective([term])(this, step).total, expected * TERMS[0](this))


def test_weights_are_of_the_first_step_unless_another_is_said(view, close):
    term, this = me.preserve("skin"), view()
    close(((lambda step: step + 2.0) * (term + TERMS[1]))(this).total, 2 * (term + TERMS[1])(this).total)


def test_adding_mixes_terms_and_objectives():
    a, b, c = (me.preserve("skin").named(n) for n in "abc")
    assert (a + b + c).names == (a + (b + c)).names == ("a", "b", "c")
    with pytest.raises(me.InputError, match=r"two terms are named 'preserve'.*named\("):
        me.preserve("skin") + me.preserve("mouth")
    with pytest.raises(me.InputError, match="two terms"):
        (a + b) + (c + b)


def test_terms_can_be_summed():
    terms = [me.preserve("skin"), me.attribute("smiling")]
    assert sum(terms).names == ("preserve", "smiling")
    assert sum([terms[0] + terms[1]]).names == ("preserve", "smiling")


def test_objectives_are_modules_that_move_their_losses():
    objective = 2.0 * me.attribute(["smiling", "wearing_lipstick"], smoothing=[0.1, 0.2]) + me.preserve("skin")
    assert isinstance(objective, nn.Module)
    assert len(list(objective.modules())) == 6
    assert objective.terms[0].loss.smoothing.dtype == torch.float32
    assert objective.double().terms[0].loss.smoothing.dtype == torch.float64


def test_an_objective_prints_its_terms_weights_and_targets():
    objective = 2.0 * me.preserve("skin") + 0.005 * me.attribute(["smiling"], target=0.3, hold=["pale_skin"])
    assert repr(objective) == (
        "Objective(\n"
        "  (preserve): 2 x MaskedMSE(normalize='image') of skin\n"
        "  (smiling): 0.005 x SemanticKL(smoothing=[0.05, 0.0]) of smiling = 0.3, pale_skin held\n"
        ")"
    )


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.preserve("skin") * me.attribute("smiling"), "a function of the step; got Term"),
        (lambda: me.preserve("skin") * "2", "something else than a weight"),
    ],
)
def test_nonsense_is_refused_before_any_work(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
