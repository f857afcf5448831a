"""Views: what models are asked, and what they may answer."""

import pytest

import maskedit as me
from tests import toys
from tests.solve.runs import problem
from tests.toys import Distance


def test_regions_are_resized_to_the_picture(view, close):
    this = view()
    assert this.native_region("mouth").shape[-1] == 8
    assert this.region("mouth").shape[-1] == 16
    close(this.region("mouth", "skin"), this.region("mouth") + this.region("skin"))


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            {"parser": lambda p: lambda image, regions: p(image, p.__self__.regions)},
            r"parser was asked for skin; exp.*3",
        ),
        ({"parser": lambda p: lambda image, regions: p(image, regions).log()}, "not probabilities.*softmax"),
        (
            {"classifier": lambda c: lambda image, names: c(image, c.__self__.attributes)},
            r"classifier was asked for smiling.*\[1, 1\].*\[1, 3\]",
        ),
        ({"classifier": lambda c: lambda image, names: c(image, names)[:, 0]}, r"\[1, 1\]; got \[1\]"),
        ({"generator": lambda g: lambda latent, noises: g(latent, noises)[..., :8]}, r"16, 16\].*16, 8\]"),
    ],
)
def test_models_that_answer_something_else_are_named(broken, says):
    trio = toys.models()
    for role, wrap in broken.items():
        model = getattr(trio, role)
        method = {"parser": "parse", "classifier": "classify", "generator": "synthesize"}[role]
        setattr(model, method, wrap(getattr(model, method)))
    objective = me.preserve("skin") + me.attribute("smiling")
    schedule = me.Schedule(me.Stage("fit", 1, objective, vary=me.latent()), blend=None)
    with pytest.raises(me.RunError, match=says):
        list(me.steps(me.Problem(trio, toys.pictures(1)), schedule))


def test_a_region_that_a_term_did_not_declare_is_named():
    sneaky = me.Term("sneaky", Distance(), reads=lambda v: (v.region("mouth"), v.region("mouth")))
    with pytest.raises(me.InputError, match=r"'mouth'.*regions=\['mouth'\]"):
        list(me.steps(problem(), me.Schedule(me.Stage("fit", 1, sneaky, vary=me.latent()), blend=None)))
