"""The paper's terms: each computes what it says, of the regions and attributes that it names."""

from dataclasses import replace

import pytest
import torch

import maskedit as me
from tests.terms.cases import TERMS


def test_terms_compute_what_they_say(view, close):
    this = view()
    original = this.original
    values = {term.name: term(this) for term in TERMS}
    functional = me.functional
    expected = {
        "preserve": functional.masked_mse(this.image, original.image, original.region("skin")),
        "smiling": functional.semantic_kl(this.logits("smiling"), torch.ones_like(this.logits("smiling"))),
        "mouth_size": functional.component_size_kl(this.region("mouth"), original.region("mouth"), scale=1.5),
        "mouth_shape": functional.shape_loss(this.native_region("mouth"), original.native_region("mouth")),
        "white_noise": functional.noise_autocorrelation(this.noises),
        "latent_prior": functional.latent_prior(this.latent, this.latents),
    }
    for name, value in expected.items():
        close(values[name], value)


def test_preserve_and_shape_give_way_where_the_target_has_grown(view, close):
    this = view()
    this.grown = 0.6 * torch.rand(2, 1, 16, 16).to(this.latent)
    skin, mouth = this.original.region("skin"), this.original.native_region("mouth")
    relaxed = me.functional.relaxed_masked_mse(this.image, this.original.image, skin, this.grown)
    close(me.preserve("skin")(this), relaxed)
    small = torch.nn.functional.avg_pool2d(this.grown, 2)
    grown = me.functional.shape_loss(this.native_region("mouth"), (mouth + small).clamp(0, 1))
    close(me.shape("mouth", grow=True)(this), grown)
    close(me.shape("mouth")(this), me.functional.shape_loss(this.native_region("mouth"), mouth))


def test_held_attributes_pull_to_the_inputs_own_prediction(view, close):
    this = view()
    held = me.attribute("smiling", hold=["wearing_lipstick"])(this)
    own = this.original.logits("wearing_lipstick").sigmoid()
    parts = [
        me.functional.semantic_kl(this.logits("smiling"), torch.ones_like(own)),
        me.functional.semantic_kl(this.logits("wearing_lipstick"), own, smoothing=0.0),
    ]
    close(held, sum(parts) / 2)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.preserve(), "names nothing"),
        (lambda: me.attribute([]), "names nothing"),
        (lambda: me.attribute("smiling", target=1.5), r"target.*\[0, 1\]"),
        (lambda: me.attribute(["smiling"], target=[1.0, 0.0]), "one target for each"),
        (lambda: me.attribute(["smiling"], smoothing=[0.1, 0.1]), "one smoothing for each"),
        (lambda: me.attribute(["smiling"], hold=["smiling"]), "both edited and held"),
    ],
)
def test_what_cannot_be_is_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()


def test_perceptual_looks_at_its_regions_only(view, close):
    def features(image):
        return [image, torch.nn.functional.avg_pool2d(image, 2) ** 2]

    this = view()
    mask = this.original.region("skin", "mouth")
    expected = me.functional.masked_perceptual(features(this.image), features(this.original.image), mask)
    term = me.perceptual("skin", "mouth", features=features)
    close(term(this), expected)
    assert term.asks.regions == ("skin", "mouth")
    everywhere = me.functional.masked_perceptual(
        features(this.image), features(this.original.image), torch.ones_like(mask)
    )
    assert (expected != everywhere).all()


def test_targets_and_smoothing_are_one_for_all_or_one_each(view, close):
    this = view()
    logits = this.logits("smiling", "wearing_lipstick")

    def expected(targets, smoothing):
        labels = logits.new_tensor(targets).expand_as(logits)
        return me.functional.semantic_kl(logits, labels, smoothing=logits.new_tensor(smoothing))

    both = ["smiling", "wearing_lipstick"]
    close(me.attribute(both)(this), expected([1, 1], [0.05, 0.05]))
    close(me.attribute(both, target=0.3)(this), expected([0.3, 0.3], [0.05, 0.05]))
    close(me.attribute(both, target=[0, 1], smoothing=0)(this), expected([0, 1], [0, 0]))
    term = me.attribute(both, target=[1, 0], smoothing=[0.1, 0.4]).to(logits.device)
    close(term(this), expected([1, 0], [0.1, 0.4]))
    assert me.attribute(both).name == "smiling+wearing_lipstick"
    assert me.attribute(both, hold=["pale_skin"]).asks.attributes == ("smiling", "wearing_lipstick", "pale_skin")


def test_terms_say_what_they_need():
    assert me.attribute("smiling", seen_in="blended").needs == ("blend",)
    assert me.attribute("smiling").needs == ()
    assert me.white_noise().needs == ("noise",)
    assert me.latent_prior().needs == ("latents",)
    assert me.preserve("skin", "ears").asks.regions == ("skin", "ears")
    assert me.shape("hair", "ears").asks.regions == ("hair", "ears")
    assert me.region_size("mouth", scale=2).asks.regions == ("mouth",)
    assert me.shape("hair", "ears").about == "hair + ears"
    assert me.shape("hair", grow=True).about == "hair, which may grow"
    assert (me.shape("hair", "ears").name, me.region_size("mouth", scale=2).name) == ("hair_ears_shape", "mouth_size")


def test_the_blended_picture_is_judged_if_asked(view, close):
    this = view()
    this._scene = replace(this._scene, compose=lambda image: 0.5 * image)
    seen = me.attribute("smiling", seen_in="blended")(this)
    logits = this._models.classifier.classify(0.5 * this.image, ["smiling"])
    close(seen, me.functional.semantic_kl(logits, torch.ones_like(logits)))


def test_preserve_divides_by_all_pixels_by_default(view, close):
    this = view()
    mask = this.original.region("skin")
    for normalize in ("image", "mask"):
        expected = me.functional.masked_mse(this.image, this.original.image, mask, normalize=normalize)
        close(me.preserve("skin", normalize=normalize)(this), expected)


@pytest.mark.parametrize("make", [me.shape, lambda: me.region_size(scale=2), lambda: me.perceptual(features=list)])
def test_terms_of_nothing_are_refused(make):
    with pytest.raises(me.InputError, match="names nothing"):
        make()


@pytest.mark.parametrize("target", [-0.1, 1.01, [0, 2]])
def test_targets_are_portions(target):
    with pytest.raises(me.InputError, match=r"target is out of range.*\[0, 1\]"):
        me.attribute("smiling" if isinstance(target, float) else ["smiling", "bald"], target=target)


def test_identity_compares_the_two_pictures(view, close):
    this = view()
    embed = lambda x: x.mean((2, 3))  # noqa: E731
    expected = me.functional.identity_distance(embed(this.image), embed(this.original.image))
    close(me.identity(embed=embed)(this), expected)


class Masked(torch.nn.Module):
    def forward(self, generated, original, mask):
        return ((generated - original).abs() * mask).sum((1, 2, 3))


def test_perceptual_takes_a_distance_in_place_of_features(view, close):
    this = view()
    expected = Masked()(this.image, this.original.image, this.original.region("skin", "mouth"))
    close(me.perceptual("skin", "mouth", distance=Masked())(this), expected)
    schedule = me.recipes.global_edit("smiling", distance=Masked())
    assert "Masked()" in str(schedule)
    for both in ({}, {"features": lambda x: [x], "distance": Masked()}):
        with pytest.raises(me.InputError, match="expected features or distance"):
            me.perceptual("skin", **both)
