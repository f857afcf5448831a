"""Stages: checked when they are made."""

import pytest

import maskedit as me


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.Stage("a", 0, me.preserve("skin"), vary=me.latent()), "no number of steps"),
        (lambda: me.Stage("a.b", 1, me.preserve("skin"), vary=me.latent()), "without dots"),
        (
            lambda: me.Stage("a", 1, me.preserve("skin"), vary=me.latent(), stop=me.Plateau(of="smile")),
            "one of total, preserve",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.Stage("a", 2.5, me.preserve("skin"), vary=me.latent()), "whole number.*2.5"),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary="latent"), "cannot vary that.*'latent'"),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary=[]), r"cannot vary that.*\[\]"),
        (
            lambda: me.Stage("a", 1, me.preserve("skin"), vary=[me.latent(layers=[0]), me.latent(layers=[1])]),
            "several layers",
        ),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary=me.latent(), after_step=me.GrowTarget()), r"\[event\]"),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary=me.latent(), after_step=[me.GrowTarget]), "an instance"),
    ],
)
def test_nonsense_is_refused_before_any_work(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
