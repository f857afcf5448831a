"""The paper's recipe, the released program's and the short ones: what each term weighs, and where they differ."""

import pytest
import torch

import maskedit as me
from tests import toys

LOCAL = [me.recipes.paper, me.recipes.released, me.recipes.fast, me.recipes.balanced]


def weights(stage: me.Stage) -> dict[str, float]:
    return {term.name: term.weight for term in stage.terms}


@pytest.mark.parametrize("recipe", LOCAL)
def test_each_stage_has_the_papers_terms_and_weights(recipe):
    made = recipe(me.Edit({"black_hair": 1, "smiling": 0}, size={"mouth": 1.5}, hold=["young"], smoothing=0.1))
    fit, edit, settle, detail = made
    assert [stage.name for stage in made] == ["fit", "edit", "settle", "detail"]
    wanted = {"preserve": 2.0, "black_hair+smiling": 0.005, "hair_shape": 0.5, "mouth_size": 1.0}
    assert weights(fit) == {"preserve": 2.0}
    assert weights(edit) == weights(settle) == wanted
    assert weights(detail) == {"preserve": 2.0, "white_noise": 1.0}
    assert "SemanticKL(smoothing=[0.1, 0.1, 0.0]) of black_hair = 1, smiling = 0, young held" in repr(made)
    assert "ComponentSizeKL(scale=1.5) of mouth" in repr(made)
    assert "image') of skin\n" in repr(made)
    assert edit.after_step == (me.GrowTarget(),)
    assert settle.after_step == ()


@pytest.mark.parametrize("recipe", LOCAL)
def test_what_was_not_asked_for_is_not_there(recipe):
    assert weights(recipe("smiling").stages[1]) == {"preserve": 2.0, "smiling": 0.005}
    assert "SemanticKL(smoothing=0.05) of smiling = 1\n" in repr(recipe("smiling"))
    sized = recipe(me.Edit(size={"mouth": 1.5}))
    assert weights(sized.stages[1]) == {"preserve": 2.0, "mouth_size": 1.0}
    assert "classifier" not in sized.needs
    assert "hair_shape" not in repr(recipe(me.Edit(size={"hair": 1.5})))


@pytest.mark.parametrize("recipe", LOCAL)
def test_the_start_and_what_is_needed(recipe):
    made = recipe("smiling")
    start, role = ("mean", "mean_latent") if recipe in LOCAL[:2] else ("encoder", "encoder")
    assert (made.start, made.needs) == (start, ("parser", "classifier", role))
    assert made.edit == me.Edit("smiling")
    problem = made.problem(toys.models(), toys.pictures(2))
    assert (problem.edit, problem.start) == (made.edit, start)
    made.check(problem)
    with pytest.raises(me.InputError, match=f"the recipe needs an? .*models.{role} is None"):
        made.problem(toys.models(**{role: None}), toys.pictures(1))
    with pytest.raises(me.InputError, match="no attribute 'big_nose'"):
        recipe("big_nose").problem(toys.models(), toys.pictures(1))


@pytest.mark.parametrize("recipe", [*LOCAL, me.recipes.plausible])
def test_what_it_cannot_do_is_refused(recipe):
    for nothing in ((), me.Edit(hold=["young"]), me.Edit(regions=["mouth"])):
        with pytest.raises(me.InputError, match="nothing is to be edited"):
            recipe(nothing)
    with pytest.raises(me.InputError, match="'young' is about the whole face.*global_edit"):
        recipe(["smiling", "young"])
    with pytest.raises(me.InputError, match="no region is known for the attribute 'beard'"):
        recipe("beard")
    assert recipe(me.Edit("young", regions=["hair"])).edit.regions == ("hair",)


def test_paper_and_released_differ_where_the_notes_say():
    paper, released = (recipe("wavy_hair") for recipe in (me.recipes.paper, me.recipes.released))
    assert (paper.blend.target_from, released.blend.target_from) == ("generated", "original")
    assert (paper.blend.preserve, released.blend.preserve) == (("skin",), ("skin", "ears"))
    assert "ShapeLoss() of hair, which may grow" in repr(paper)
    assert "ShapeLoss() of hair + ears, which may grow" in repr(released)
    assert "of skin + ears" in repr(released)
    assert "ears" not in repr(paper)
    assert released.stages[2].on_enter == (me.RedrawNoise(),)
    assert paper.stages[2].on_enter == ()
    assert released.stages[3].before_backward == paper.stages[3].after_step == (me.NormalizeNoise(),)
    assert [stage.steps for stage in paper] == [500, 200, 300, 500]
    assert [stage.steps for stage in released] == [500, 200, 300, 501]
    for recipe in (me.recipes.paper, me.recipes.released):
        colour = recipe("black_hair")
        assert "which may grow" not in repr(colour)
        assert "ears" not in repr(colour)
        assert (colour.blend.target_from, colour.blend.softness) == ("original", 0)
        assert [str(stage.vary) for stage in colour] == [
            "latent (Adam, lr 0.001)", "latent (Adam, lr 0.001)", "unchanged", "noise (Adam, lr 0.1)"
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "steps"), [(me.recipes.fast, (60, 40, 60, 60)), (me.recipes.balanced, (120, 80, 120, 120))]
)
def test_the_short_recipes_have_the_papers_objectives(recipe, steps):
    wish = me.Edit({"wavy_hair": 0}, hold=["pale_skin"], size={"mouth": 1.5})
    paper, short = me.recipes.paper(wish), recipe(wish)
    assert [repr(stage.terms) for stage in short] == [repr(stage.terms) for stage in paper]
    assert [stage.after_step for stage in short] == [stage.after_step for stage in paper]
    assert short.blend == paper.blend
    assert tuple(stage.steps for stage in short) == steps
    a, _, c, d = steps
    assert [str(stage.vary) for stage in short] == [
        f"latent (Adam, lr Falling(first=0.02, steps={a}))",
        "latent (Adam, lr 0.02)",
        f"latent (Adam, lr Falling(first=0.02, steps={c}))",
        f"noise (Adam, lr Falling(first=0.2, steps={d}))",
    ]
    assert "lr 0.5)" in repr(me.recipes.fast("smiling", rate=0.5))


def test_the_rate_of_the_short_recipes_falls_to_nothing():
    rate = me.recipes.Falling(0.2, 10)
    rates = [rate(step) for step in range(12)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[5], rates[10], rates[11]) == (0.2, pytest.approx(0.1), pytest.approx(0), pytest.approx(0))


def test_the_table_of_recipes_has_the_local_ones():
    assert list(me.recipes.RECIPES) == ["plausible", "fast", "balanced", "paper", "released"]
    assert all(make("smiling").edit == me.Edit("smiling") for make in me.recipes.RECIPES.values())


def test_a_recipe_runs_like_any_schedule():
    made = me.recipes.paper(me.Edit("smiling", size={"mouth": 1.2}), steps=(2, 2, 2, 2))
    result = me.run(made.problem(toys.models(), toys.pictures(2)), made)
    assert result.status == ("Finished.",) * 2
    assert torch.equal(result.patches[0].added, result.generated)
