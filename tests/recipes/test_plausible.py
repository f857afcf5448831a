"""What the recipe for small generators asks for, by attribute: all weights, rates, regions and blends."""

import pytest
import torch

import maskedit as me
from maskedit.recipes import plausible
from maskedit.recipes.rules import DYE, FEATURES, LINES, OWN, RULES, STRANDS
from tests import toys

FACE = ["skin", "mouth", "eyebrows", "eyes", "nose", "hair", "ears", "below_face"]
HAIR = ["blond_hair", "brown_hair", "black_hair", "gray_hair"]

TABLE = {  # attribute: what moves, rate, keep, prior, smoothing, seen after the blend, blend, preserved
    **{name: ("64 components", 0.05, 5.0, 0.002, 0.01, True, me.Tint, ()) for name in [*HAIR, "wearing_lipstick"]},
    **{name: ("64 components", 0.05, 5.0, 0.002, 0.01, True, me.AddChange, ()) for name in me.HAIR_SHAPES},
    **{
        name: ("64 components", 0.03, 5.0, 0.05, 0.01, True, me.Redraw, ("skin",))
        for name in ("bushy_eyebrows", "narrow_eyes")
    },
    **{
        name: ("24 components", 0.03, 5.0, 0.05, 0.01, True, me.Redraw, ("skin",))
        for name in ("mouth_slightly_open", "big_nose", "pointy_nose")
    },
    **{
        name: (f"along {name}", 0.03, 0.05, 0.01, 0.03, False, me.Redraw, ("skin",))
        for name in ("smiling", "arched_eyebrows")
    },
}


@pytest.mark.parametrize("name", list(me.ATTRIBUTE_REGIONS))
def test_each_attribute_has_its_rule(name: str) -> None:
    moves, rate, keep, prior, smoothing, after_blend, kind, preserve = TABLE[name]
    made = plausible(name)
    fit, edit = made
    assert [stage.name for stage in made] == ["fit", "edit"]
    assert [stage.steps for stage in made] == [120, 200]
    assert str(fit.vary) == "latent (Adam, lr 0.02)"
    assert str(edit.vary) == f"latent (Adam, lr {rate:g}, {moves})"
    assert {term.name: term.weight for term in fit.terms} == {"preserve": 5.0, "latent_prior": 0.002}
    regions = me.ATTRIBUTE_REGIONS[name]
    outline = {"hair_shape": 0.5} if regions == ("hair",) else {}
    weights = {"preserve": keep, "latent_prior": prior, name: 0.03, **outline}
    assert {term.name: term.weight for term in edit.terms} == weights
    asks = {term.name: term for term in edit.terms}
    assert asks["preserve"].asks.regions == tuple(region for region in FACE if region not in regions)
    assert next(iter(fit.terms)).asks.regions == tuple(FACE)
    shown = f"SemanticKL(smoothing={smoothing}) of {name} = 1" + ", after the blend" * after_blend
    assert asks[name].describe() == shown
    assert edit.after_step == (me.GrowTarget(),)
    assert made.blend == kind(preserve=preserve, softness=1, since="fit")
    assert (made.start, made.needs) == ("encoder", ("parser", "classifier", "encoder", "latents"))


def test_against_its_direction_a_smile_does_not_go() -> None:
    for target in (0, 0.5):
        assert str(plausible({"smiling": target}).stages[1].vary) == "latent (Adam, lr 0.03, 24 components)"
    assert "along smiling" in str(plausible({"smiling": 0.51}))
    assert "along arched_eyebrows" in str(plausible({"arched_eyebrows": 0}))


def test_attributes_of_one_rule_share_a_stage() -> None:
    made = plausible(["smiling", "arched_eyebrows"])
    assert [stage.name for stage in made] == ["fit", "edit"]
    assert "along smiling + arched_eyebrows" in str(made)
    assert "smiling+arched_eyebrows" in made.stages[1].terms.names
    assert made.blend == me.Redraw(softness=1, since="fit")
    hair = plausible(["wavy_hair", "blond_hair"])
    assert hair.blend == me.AddChange(preserve=(), softness=1, since="fit")
    assert hair.stages[1].terms.names == ("preserve", "latent_prior", "wavy_hair+blond_hair", "hair_shape")


def test_a_mixed_edit_gives_each_attribute_its_own_rule() -> None:
    """Black hair asked for together with a smile is dyed as it is alone."""
    for names in (["black_hair", "smiling"], ["smiling", "black_hair"]):
        made = plausible(names)
        _, dye, smile = made
        assert [stage.name for stage in made] == ["fit", "edit_black_hair", "edit_smiling"]
        assert str(dye.vary) == str(plausible("black_hair").stages[1].vary)
        assert str(smile.vary) == str(plausible("smiling").stages[1].vary)
        kept = "preserve", "latent_prior"
        assert dye.terms.names == (*kept, "black_hair", "hair_shape")
        assert smile.terms.names == (*kept, "black_hair", "hair_shape", "smiling")
        assert [term.weight for term in smile.terms] == [0.05, 0.01, 0.03, 0.5, 0.03]
        for stage in (dye, smile):
            assert next(iter(stage.terms)).asks.regions == ("skin", "eyebrows", "eyes", "nose", "ears", "below_face")
        assert made.blend == me.Several(
            me.Tint(regions=("hair",), preserve=(), softness=1, since="fit"),
            me.Redraw(regions=("mouth",), softness=1, since="fit"),
        )
    three = plausible(["smiling", "big_nose", "wearing_lipstick", "blond_hair"])
    assert [stage.name for stage in three] == [
        "fit",
        "edit_wearing_lipstick+blond_hair",
        "edit_big_nose",
        "edit_smiling",
    ]
    assert [part.regions for part in three.blend.parts] == [("mouth", "hair"), ("nose", "mouth")]


def test_sizes_have_a_stage_that_can_reach_them() -> None:
    made = plausible(me.Edit("smiling", size={"mouth": 1.3}))
    assert [stage.name for stage in made] == ["fit", "edit_mouth_size", "edit_smiling"]
    assert "24 components" in str(made.stages[1].vary)
    assert made.blend == FEATURES.blend  # once: laid twice, it would change the skin twice
    alone = plausible(me.Edit(size={"mouth": 1.3}))
    assert [stage.name for stage in alone] == ["fit", "edit"]
    assert {term.name: term.weight for term in alone.stages[1].terms}["mouth_size"] == 10.0
    assert "ComponentSizeKL(scale=1.3) of mouth" in repr(alone)
    assert alone.blend == FEATURES.blend
    assert alone.needs == ("parser", "encoder", "latents")
    shared = plausible(me.Edit("big_nose", size={"mouth": 1.3}))
    assert [stage.name for stage in shared] == ["fit", "edit"]
    assert plausible(me.Edit(size={"hair": 2})).blend == STRANDS.blend
    assert plausible(me.Edit(size={"eyes": 2})).blend == LINES.blend
    assert "hair_shape" not in repr(plausible(me.Edit("blond_hair", size={"hair": 2})))


def test_a_size_changes_the_result() -> None:
    def share(scale: float) -> torch.Tensor:
        made = plausible(me.Edit(size={"mouth": scale}), face=["skin", "mouth"], components=6, steps=(2, 60))
        this = made.problem(toys.models(), toys.pictures(2))
        return this.models.parser.parse(me.run(this, made).image, ["mouth"]).mean((1, 2, 3))

    assert (share(1.6) > 1.03 * share(0.6)).all()


def test_what_the_edit_says_goes_before_the_rule() -> None:
    made = plausible(me.Edit({"smiling": 0.8, "big_nose": 0.3}, smoothing={"smiling": 0.2}, hold=["young"]))
    assert "SemanticKL(smoothing=[0.2, 0.0]) of smiling = 0.8, young held" in repr(made)
    assert "SemanticKL(smoothing=[0.01, 0.0]) of big_nose = 0.3, young held, after the blend" in repr(made)
    assert "smoothing=0.2" in repr(plausible(me.Edit("big_nose", smoothing=0.2)))
    unknown = plausible(me.Edit("large_wheels", regions=["wheels"]))
    assert unknown.blend == LINES.blend
    assert unknown.edit.regions == ("wheels",)


def test_components_and_face_can_be_chosen() -> None:
    made = plausible("smiling", components=7, face=["skin", "mouth"], steps=(3, 4))
    assert str(made.stages[1].vary) == "latent (Adam, lr 0.03, 7 components)"
    assert {term.name: term.weight for term in made.stages[1].terms} == {
        "preserve": 5.0, "latent_prior": 0.05, "smiling": 0.03
    }  # fmt: skip
    assert "smoothing=0.01" in repr(made)
    assert next(iter(made.stages[1].terms)).asks.regions == ("skin",)
    assert [stage.steps for stage in made] == [3, 4]
    assert "7 components" in str(plausible("blond_hair", components=7))


def test_the_table_reads_in_lines() -> None:
    assert set(RULES) == set(me.ATTRIBUTE_REGIONS)
    assert str(OWN) == "own directions, lr 0.03; keep 0.05, prior 0.01, smoothing 0.03; redraw tolerance 0.06"
    assert str(DYE) == "64 components, lr 0.05; keep 5, prior 0.002, smoothing 0.01, seen after the blend; tint"
