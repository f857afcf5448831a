"""A short edit of every kind, a problem for it, and when two results are the same to the bit."""

from dataclasses import replace

import torch
from torch import Tensor

import maskedit as me
from tests import toys


def edit(**stage: object) -> me.Schedule:
    """All kinds of terms, both variables, moving masks and drawn noise, in four short stages."""
    keep = 2.0 * me.preserve("skin")
    change = (
        keep
        + 0.05 * me.attribute(["smiling", "wearing_lipstick"], target=[1.0, 0.0], hold=["pale_skin"])
        + 0.5 * me.shape("mouth", grow=True)
        + me.region_size("mouth", scale=1.2)
        + 1e-3 * me.latent_prior()
    )
    return me.Schedule(
        me.Stage("fit", 4, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 5, change, vary=me.latent(lr=0.05), after_step=[me.GrowTarget()]),
        me.Stage("settle", 3, change, vary=me.unchanged(), on_enter=[me.RedrawNoise()]),
        me.Stage(
            "detail", 4, keep + me.white_noise(), vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()], **stage
        ),
    )


def problem(count: int = 2, **changes: object) -> me.Problem:
    trio = changes.pop("models", None) or toys.models()
    return me.Problem(trio, toys.pictures(count), "smiling", **changes)


def only(image: int, of: me.Problem) -> me.Problem:
    start = of.start[image : image + 1] if isinstance(of.start, Tensor) else of.start
    return replace(of, image=of.image[image : image + 1], models=toys.models(), start=start)


def same(one: me.Result, other: me.Result) -> None:
    for a, b in zip((one.latent, *one.noises, one.image), (other.latent, *other.noises, other.image), strict=True):
        assert torch.equal(a, b)
    for name, values in one.history.raw.items():
        torch.testing.assert_close(values, other.history.raw[name], rtol=0, atol=0, equal_nan=True)
