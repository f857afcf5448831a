"""Variables: what each moves, in which span, with which optimiser and moments."""

from functools import partial

import pytest
import torch

import maskedit as me
from tests.solve.runs import only


def test_only_chosen_layers_move(problem):
    schedule = me.Schedule(me.Stage("fit", 3, me.preserve("skin"), vary=me.latent(lr=0.1, layers=[1])))
    this = problem()
    moved = me.run(this, schedule).latent - this.start_latent()
    assert (moved[:, [0, 2]] == 0).all()
    assert (moved[:, 1] != 0).any()


def test_components_move_within_their_span(problem64):
    schedule = me.Schedule(me.Stage("fit", 5, me.preserve("skin"), vary=me.latent(lr=0.1, components=2)))
    this = problem64()
    moved = (me.run(this, schedule).latent - this.start_latent()).flatten(1)
    basis = this.models.latents.components[:2]
    assert (moved.norm(dim=1) > 0.01).all()
    torch.testing.assert_close(moved @ basis.T @ basis, moved)


def test_a_direction_is_moved_along_and_nothing_else(problem64):
    schedule = me.Schedule(me.Stage("fit", 5, me.attribute("smiling"), vary=me.latent(lr=0.1, along=["smiling"])))
    this = problem64()
    result = me.run(this, schedule)
    moved = result.latent - this.start_latent()
    direction = this.models.latents.directions["smiling"]
    assert (moved.flatten(1).norm(dim=1) > 0.01).all()
    along = (moved * direction).sum((1, 2)) / direction.square().sum()  # in times the difference that it makes
    torch.testing.assert_close(moved, along[:, None, None] * direction)


def test_several_variables_move_together(problem):
    both = me.Stage("both", 3, me.preserve("skin"), vary=[me.latent(lr=0.1), me.noise(lr=0.1)])
    this = problem()
    result = me.run(this, me.Schedule(both))
    assert (result.latent != this.start_latent()).any()
    assert all((noise != 0).any() for noise in result.noises)


def test_unchanged_keeps_the_moments_and_a_new_variable_forgets_them(problem):
    keep = me.preserve("skin")
    whole = me.Schedule(me.Stage("a", 6, keep, vary=me.latent(lr=0.05)))
    halves = me.Schedule(me.Stage("a", 3, keep, vary=me.latent(lr=0.05)), me.Stage("b", 3, keep, vary=me.unchanged()))
    fresh = me.Schedule(
        me.Stage("a", 3, keep, vary=me.latent(lr=0.05)), me.Stage("b", 3, keep, vary=me.latent(lr=0.05))
    )
    one, two, three = (me.run(problem(), schedule).latent for schedule in (whole, halves, fresh))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_an_optimiser_with_a_closure_is_asked_for_each_image_by_itself(problem64):
    vary = me.latent(lr=0.5, optimizer=partial(torch.optim.LBFGS, max_iter=4, line_search_fn="strong_wolfe"))
    schedule = me.Schedule(me.Stage("fit", 5, me.preserve("skin"), vary=vary))
    both = me.run(problem64(2), schedule)
    assert (both.history.total[:, -1] < 0.1 * both.history.total[:, 0]).all()
    assert (both.history.evaluations[:, 0] > 1).all()  # its own evaluation, and those of the line search
    alone = [me.run(only(i, problem64(2)), schedule) for i in range(2)]
    torch.testing.assert_close(both.latent, torch.cat([a.latent for a in alone]), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.latent(layers=[]), "no layer"),
        (lambda: me.latent(layers=[-1]), "no layer"),
        (lambda: me.latent(layers=[0], components=2), "one of the four"),
        (lambda: me.latent(components=2, along=["smiling"]), "one of the four"),
        (lambda: me.latent(along=[]), "no attributes"),
        (lambda: me.latent(along="smiling"), "a list of names"),
        (lambda: me.latent(components=0), "no component"),
    ],
)
def test_what_cannot_be_is_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()


def test_a_closure_and_a_term_of_the_blended_picture_do_not_go_together(problem64):
    look = me.attribute("smiling", seen_in="blended")
    stage = me.Stage("edit", 2, look, vary=me.latent(lr=0.1, optimizer=torch.optim.LBFGS))
    with pytest.raises(me.RunError, match=r"evaluated alone.*needs no closure"):
        me.run(problem64(1), me.Schedule(stage))
