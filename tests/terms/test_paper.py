"""The paper's terms: each computes what it says, of the regions and attributes that it names."""

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
