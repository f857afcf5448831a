"""Edits of the whole face."""

import pytest
import torch

import maskedit as me
from tests import toys


def features(image):
    return [image, image**2]


def test_the_terms_and_their_weights():
    made = me.recipes.global_edit(me.Edit({"young": 0}, hold=["male"], smoothing=0.2), features=features)
    edit, detail = made
    assert {term.name: term.weight for term in edit.terms} == {"perceptual": 1.0, "young": 0.03}
    assert {term.name: term.weight for term in detail.terms} == {"preserve": 2.0, "white_noise": 1.0}
    assert "SemanticKL(smoothing=[0.2, 0.0]) of young = 0, male held" in repr(made)
    assert repr(made).count("of skin + mouth + eyebrows + eyes + nose\n") == 2
    assert (edit.steps, detail.steps) == (500, 500)
    assert (str(edit.vary), str(detail.vary)) == ("latent (Adam, lr 0.001)", "noise (Adam, lr 0.1)")
    assert detail.after_step == (me.NormalizeNoise(),)
    assert (made.start, made.needs) == ("encoder", ("parser", "classifier", "encoder"))
    assert made.blend == me.Paste(preserve=())
    assert made.edit.regions == me.FACE
    heavier = me.recipes.global_edit("young", features=features, weight=0.5)
    assert {term.name: term.weight for term in heavier.stages[0].terms}["young"] == 0.5
    assert "smoothing=0.05" in repr(heavier)


def test_what_the_edit_says_of_regions_and_sizes_counts():
    made = me.recipes.global_edit(me.Edit("chubby", regions=["skin"]), features=features)
    assert made.edit.regions == ("skin",)
    sized = me.recipes.global_edit(me.Edit("young", size={"hair": 2}), features=features)
    assert sized.edit.regions == (*me.FACE, "hair")
    assert "hair_size" in sized.stages[0].terms.names
    with pytest.raises(me.InputError, match="nothing is to be edited"):
        me.recipes.global_edit((), features=features)


def test_it_changes_the_face_in_the_result():
    def seen(target: float) -> torch.Tensor:
        wish = me.Edit({"pale_skin": target}, regions=["skin", "mouth"])
        made = me.recipes.global_edit(wish, features=features, weight=3.0, steps=(400, 1))
        this = made.problem(toys.models(), toys.pictures(1))
        result = me.run(this, made)
        assert set(result.history.raw) == {"edit.perceptual", "edit.pale_skin", "detail.preserve", "detail.white_noise"}
        assert result.history.raw["edit.perceptual"].isfinite().all()
        return this.models.classifier.classify(result.image, ["pale_skin"])

    assert (seen(1.0) > seen(0.0) + 0.05).all()
