"""Views: what models are asked, and what they may answer."""

import pytest
import torch
import torch.nn.functional as F

import maskedit as me
from maskedit.terms import Reads, Shown, see_original
from tests import toys
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


def test_a_region_that_a_term_did_not_declare_is_named(problem):
    sneaky = me.Term("sneaky", Distance(), reads=lambda v: (v.region("mouth"), v.region("mouth")))
    with pytest.raises(me.InputError, match=r"'mouth'.*regions=\['mouth'\]"):
        list(me.steps(problem(), me.Schedule(me.Stage("fit", 1, sneaky, vary=me.latent()), blend=None)))


def test_the_classifier_and_parser_are_asked_once_and_only_if_read():
    this = toys.view()
    before = toys.calls(this._models)  # the input was looked at
    assert not this.drawn
    this.region("skin"), this.region("mouth"), this.native_region("skin", "mouth")
    this.logits("smiling"), this.logits("wearing_lipstick", "smiling")
    assert this.drawn
    assert toys.calls(this._models) - before == {"generator": 1, "parser": 1, "classifier": 1}
    assert this.region("skin") is this.region("skin")


def test_names_are_found_in_any_order(view, close):
    this = view()
    both = this.logits("wearing_lipstick", "smiling")
    close(both, torch.cat([this.logits("wearing_lipstick"), this.logits("smiling")], 1))
    asked = this._models.classifier.classify(this.image, ["wearing_lipstick", "smiling"])
    close(both, asked)
    close(this.native_region("mouth"), this._models.parser.parse(this.image, ["mouth"]))


@pytest.mark.parametrize(("side", "mode"), [(8, "area"), (16, None), (24, "bilinear")])
def test_regions_are_smaller_by_area_and_larger_bilinearly(side, mode):
    g = torch.Generator().manual_seed(0)
    parsed = torch.rand(2, 1, 16, 16, generator=g)

    class Parser(toys.ToyParser):
        def parse(self, image, regions):
            return parsed

    trio = toys.models(parser=Parser())
    image = torch.rand(2, 3, side, side)
    seen = Shown(models=trio, reads=Reads(("skin",)), image=image).region("skin")
    options = {"align_corners": False} if mode == "bilinear" else {}
    expected = parsed if mode is None else F.interpolate(parsed, size=(side, side), mode=mode, **options)
    assert torch.equal(seen, expected)


def test_what_several_read_is_named_once():
    one, two = Reads(("skin", "hair"), ("smiling",)), Reads(("hair", "ears"), ("bald", "smiling"))
    assert one | two == Reads(("skin", "hair", "ears"), ("smiling", "bald"))


@pytest.mark.parametrize(
    ("low", "high", "fine"), [(-5e-4, 1, True), (-2e-3, 1, False), (0, 1.002, False), (0, 1.0005, True)]
)
def test_regions_are_probabilities_to_a_thousandth(low, high, fine):
    class Parser(toys.ToyParser):
        def parse(self, image, regions):
            return torch.tensor([low, high], dtype=image.dtype).expand(len(image), len(regions), 2, 2)

    def look():
        see_original(toys.models(parser=Parser()), Reads(("skin",)), toys.pictures(1))

    if fine:
        look()
    else:
        with pytest.raises(me.RunError, match="not probabilities"):
            look()


def test_the_input_is_seen_without_gradient():
    image = toys.pictures(1).requires_grad_()
    seen = see_original(toys.models(), Reads(("skin",), ("smiling",)), image)
    assert not seen.region("skin").requires_grad
    assert not seen.logits("smiling").requires_grad
    assert not seen.image.requires_grad


def test_attributes_that_are_not_declared_are_named():
    with pytest.raises(me.InputError, match=r"attribute 'pale_skin' is read.*attributes=\['pale_skin'\]"):
        toys.view().logits("pale_skin")


def test_the_distribution_is_in_the_latents_own_format(view):
    this = view()
    latents = this.latents
    assert {t.dtype for t in (latents.mean, latents.components, *latents.directions.values())} == {this.latent.dtype}
    assert set(latents.directions) == {"smiling"}
    assert torch.equal(latents.deviations, this._models.latents.deviations.to(this.latent))
