"""Terms, objectives, stages, schedules, problems: how they add up, print, and refuse what cannot be."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import maskedit as me
from maskedit.terms import Reads, Start, Term, View, see_original
from tests import toys


def view(count: int = 2) -> View:
    trio = toys.models()
    reads = Reads(("skin", "mouth"), ("smiling", "wearing_lipstick"))
    g = torch.Generator().manual_seed(2)
    latent = trio.mean_latent + 0.3 * torch.randn(count, 3, 4, generator=g, dtype=torch.float64)
    noises = [torch.randn(count, 1, *s, generator=g, dtype=torch.float64) for s in trio.generator.noise_shapes]
    original = see_original(trio, reads, toys.pictures(count))
    grown = torch.zeros(count, 1, 16, 16, dtype=torch.float64)
    return View(
        models=trio, reads=reads, latent=latent, noises=noises, original=original, start=Start(latent), grown=grown
    )


TERMS = (
    me.preserve("skin"),
    me.attribute("smiling"),
    me.region_size("mouth", scale=1.5),
    me.shape("mouth"),
    me.white_noise(),
    me.latent_prior(),
)


# --- objectives -------------------------------------------------------------------------------------------


@given(st.permutations(range(len(TERMS))))
def test_the_order_of_terms_does_not_matter(order):
    this = view()
    plain, mixed = (me.Objective([TERMS[i] for i in o]) for o in (range(len(TERMS)), order))
    torch.testing.assert_close(plain(this).total, mixed(this).total)
    assert set(plain(this).raw) == set(mixed(this).raw)


@given(st.floats(0, 10), st.floats(0, 10))
def test_totals_are_linear_in_the_weights(a, b):
    this, one, two = view(), TERMS[0], TERMS[1]
    total = (a * one + b * two)(this).total
    torch.testing.assert_close(total, a * one(this) + b * two(this))
    torch.testing.assert_close((2 * (a * one + b * two))(this).total, 2 * total)


@given(st.lists(st.sampled_from([2.0, 0.5, lambda step: step + 1.0]), min_size=1, max_size=3), st.integers(0, 5))
def test_weights_multiply_whether_numbers_or_functions(factors, step):
    term, expected = me.preserve("skin"), 1.0
    for factor in factors:
        term = factor * term
        expected *= factor(step) if callable(factor) else factor
    this = view()
    torch.testing.assert_close(me.Objective([term])(this, step).total, expected * TERMS[0](this))


def test_adding_mixes_terms_and_objectives():
    a, b, c = (me.preserve("skin").named(n) for n in "abc")
    assert (a + b + c).names == (a + (b + c)).names == ("a", "b", "c")
    with pytest.raises(me.InputError, match=r"two terms are named 'preserve'.*named\("):
        me.preserve("skin") + me.preserve("mouth")
    with pytest.raises(me.InputError, match="two terms"):
        (a + b) + (c + b)


def test_objectives_are_modules_that_move_their_losses():
    objective = 2.0 * me.attribute(["smiling", "wearing_lipstick"], smoothing=[0.1, 0.2]) + me.preserve("skin")
    assert isinstance(objective, nn.Module)
    assert len(list(objective.modules())) == 6
    assert objective.terms[0].loss.smoothing.dtype == torch.float32
    assert objective.double().terms[0].loss.smoothing.dtype == torch.float64


def test_an_objective_prints_its_terms_weights_and_targets():
    objective = 2.0 * me.preserve("skin") + 0.005 * me.attribute(["smiling"], target=0.3, hold=["pale_skin"])
    assert repr(objective) == (
        "Objective(\n"
        "  (preserve): 2 x MaskedMSE(normalize='image') of skin\n"
        "  (smiling): 0.005 x SemanticKL(smoothing=[0.05, 0.0]) of smiling = 0.3, pale_skin held\n"
        ")"
    )


def test_terms_compute_what_they_say():
    this = view()
    original = this.original
    values = {term.name: term(this) for term in TERMS}
    functional = me.functional
    expected = {
        "preserve": functional.masked_mse(this.image, original.image, original.region("skin")),
        "smiling": functional.semantic_kl(this.logits("smiling"), torch.ones(2, 1, dtype=torch.float64)),
        "mouth_size": functional.component_size_kl(this.region("mouth"), original.region("mouth"), scale=1.5),
        "mouth_shape": functional.shape_loss(this.native_region("mouth"), original.native_region("mouth")),
        "white_noise": functional.noise_autocorrelation(this.noises),
        "latent_prior": functional.latent_prior(this.latent, toys.models().latents),
    }
    for name, value in expected.items():
        torch.testing.assert_close(values[name], value)


def test_preserve_and_shape_give_way_where_the_target_has_grown():
    this = view()
    this.grown = 0.6 * torch.rand(2, 1, 16, 16, dtype=torch.float64)
    skin, mouth = this.original.region("skin"), this.original.native_region("mouth")
    relaxed = me.functional.relaxed_masked_mse(this.image, this.original.image, skin, this.grown)
    torch.testing.assert_close(me.preserve("skin")(this), relaxed)
    small = torch.nn.functional.avg_pool2d(this.grown, 2)
    grown = me.functional.shape_loss(this.native_region("mouth"), (mouth + small).clamp(0, 1))
    torch.testing.assert_close(me.shape("mouth", grow=True)(this), grown)
    torch.testing.assert_close(me.shape("mouth")(this), me.functional.shape_loss(this.native_region("mouth"), mouth))


def test_held_attributes_pull_to_the_inputs_own_prediction():
    this = view()
    held = me.attribute("smiling", hold=["wearing_lipstick"])(this)
    own = this.original.logits("wearing_lipstick").sigmoid()
    parts = [
        me.functional.semantic_kl(this.logits("smiling"), torch.ones_like(own)),
        me.functional.semantic_kl(this.logits("wearing_lipstick"), own, smoothing=0.0),
    ]
    torch.testing.assert_close(held, sum(parts) / 2)


def test_regions_are_resized_to_the_picture():
    this = view()
    assert this.native_region("mouth").shape[-1] == 8
    assert this.region("mouth").shape[-1] == 16
    torch.testing.assert_close(this.region("mouth", "skin"), this.region("mouth") + this.region("skin"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Term("a.b", nn.Identity(), reads=lambda v: v.latent), "without dots"),
        (lambda: Term("", nn.Identity(), reads=lambda v: v.latent), "without dots"),
        (lambda: me.preserve(), "names nothing"),
        (lambda: me.attribute([]), "names nothing"),
        (lambda: me.attribute("smiling", target=1.5), r"target.*\[0, 1\]"),
        (lambda: me.attribute(["smiling"], target=[1.0, 0.0]), "one target for each"),
        (lambda: me.attribute(["smiling"], smoothing=[0.1, 0.1]), "one smoothing for each"),
        (lambda: me.attribute(["smiling"], hold=["smiling"]), "both edited and held"),
        (lambda: me.latent(layers=[]), "no layer"),
        (lambda: me.latent(layers=[-1]), "no layer"),
        (lambda: me.latent(layers=[0], components=2), "layers, components or along"),
        (lambda: me.latent(components=2, along=["smiling"]), "one of the three"),
        (lambda: me.latent(along=[]), "no attributes"),
        (lambda: me.latent(along="smiling"), "a list of names"),
        (lambda: me.latent(components=0), "no component"),
        (lambda: me.Stage("a", 0, me.preserve("skin"), vary=me.latent()), "no number of steps"),
        (lambda: me.Stage("a.b", 1, me.preserve("skin"), vary=me.latent()), "without dots"),
        (
            lambda: me.Stage("a", 1, me.preserve("skin"), vary=me.latent(), stop=me.Plateau(of="smile")),
            "one of total, preserve",
        ),
        (lambda: me.Schedule(), "needs a stage"),
        (lambda: me.Schedule(*[me.Stage("a", 1, me.preserve("skin"), vary=me.latent())] * 2), "two stages"),
        (lambda: me.Schedule(me.Stage("a", 1, me.preserve("skin"), vary=me.unchanged())), "varies nothing"),
        (
            lambda: me.Schedule(
                me.Stage("a", 1, me.preserve("skin"), vary=me.latent()), blend=me.Blend(kind="change", since="b")
            ),
            "one of a",
        ),
        (lambda: me.Blend(softness=-1), "0 or more whole pixels"),
        (lambda: me.Blend(since="fit"), "only the change"),
        (lambda: me.target_regions(["beard"]), "no region is known for.*'beard'"),
    ],
)
def test_values_that_cannot_be_are_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()


# --- schedules --------------------------------------------------------------------------------------------


def test_a_schedule_prints_as_a_table_of_everything_that_it_does():
    def fade(step: int) -> float:
        return 0.99**step

    keep = 2.0 * me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("fit", 500, keep, vary=me.latent(lr=1e-3, layers=[0, 1, 2, 5]), stop=me.Plateau(patience=9)),
        me.Stage("edit", 200, keep + fade * me.attribute("smiling"), vary=me.unchanged(), after_step=[me.GrowTarget()]),
        me.Stage("detail", 5, keep, vary=[me.noise(lr=0.1), me.latent(lr=fade, components=3)], keep_best=True),
        me.Stage("last", 5, keep, vary=me.latent(along=["smiling", "young"])),
        blend=me.Blend(kind="change", softness=2, since="fit"),
    )
    text = repr(schedule)
    for part in (
        "fit",
        "500",
        "latent (Adam, lr 0.001, layers 0-2, 5)",
        "stops when total gains < 0.001 in 9 steps",
        "unchanged",
        "fade",
        "SemanticKL(smoothing=0.05) of smiling = 1",
        "after each step: GrowTarget()",
        "noise (Adam, lr 0.1) + latent (Adam, lr ",
        "3 components",
        "along smiling + young",
        "keeps the best step",
        "blend (change, preserving skin, target of the input, softened by 2 px, the change since fit)",
    ):
        assert part in text, part
    assert schedule.steps == 710


def test_schedules_and_stages_are_frozen():
    schedule = me.recipes.paper("smiling")
    with pytest.raises(AttributeError):
        schedule.stages = ()
    with pytest.raises(FrozenInstanceError):
        schedule.stages[0].steps = 3


def without(**parts: object) -> me.Problem:
    return me.Problem(toys.models(**parts), toys.pictures(1))


def flat() -> me.LatentDistribution:
    return me.LatentDistribution(torch.zeros(3, 4), torch.zeros(2, 12), torch.zeros(2))


def spread(**directions: torch.Tensor) -> me.LatentDistribution:
    return me.LatentDistribution(torch.zeros(3, 4), torch.eye(12)[:2], torch.ones(2), directions)


class Silent(toys.ToyGenerator):
    noise_shapes = ()


@pytest.mark.parametrize(
    ("objective", "vary", "extra", "problem", "says"),
    [
        (
            me.preserve("hair"),
            me.latent(),
            {},
            without(),
            "'preserve' of stage 'late'.*'hair'.*skin, mouth",
        ),
        (me.preserve("skin"), me.latent(), {}, without(parser=None), "needs a parser for 'skin'"),
        (me.attribute("bald"), me.latent(), {}, without(), "'bald' of stage 'late'.*'bald'.*smiling"),
        (me.attribute("smiling"), me.latent(), {}, without(classifier=None), "needs a classifier"),
        (me.latent_prior(), me.latent(), {}, without(latents=None), "needs a latent distribution"),
        (me.preserve("skin"), me.latent(components=2), {}, without(latents=None), "needs a latent distribution"),
        (me.preserve("skin"), me.latent(components=99), {}, without(), "at most 6"),
        (me.preserve("skin"), me.latent(along=["smiling"]), {}, without(latents=None), "needs a latent distribution"),
        (me.preserve("skin"), me.latent(along=["bald"]), {}, without(), "moves along 'bald'.*one of smiling"),
        (
            me.preserve("skin"),
            me.latent(along=["bald"]),
            {},
            without(latents=spread()),
            "a distribution with directions",
        ),
        (me.preserve("skin"), me.latent(layers=[3]), {}, without(), "layers from 0 to 2"),
        (me.preserve("skin"), me.noise(), {}, without(generator=Silent()), "needs noise maps"),
        (me.white_noise(), me.latent(), {}, without(generator=Silent()), "needs noise maps"),
        (me.preserve("skin"), me.latent(), {"after_step": [me.GrowTarget()]}, without(), "names none"),
        (me.preserve("skin"), me.latent(), {"after_step": [me.GrowTarget(("hat",))]}, without(), "an event.*'hat'"),
    ],
)
def test_a_problem_that_lacks_what_a_later_stage_needs_is_refused_before_any_work(
    objective, vary, extra, problem, says
):
    first = me.Term("near", nn.MSELoss(), reads=lambda v: v.latent)
    schedule = me.Schedule(
        me.Stage("early", 5, first, vary=me.latent()), me.Stage("late", 5, objective, vary=vary, **extra), blend=None
    )
    with pytest.raises(me.InputError, match=says):
        me.steps(problem, schedule)
    assert problem.models.generator.calls == 0


def test_a_blend_needs_its_regions():
    schedule = me.Schedule(me.Stage("a", 1, me.white_noise(), vary=me.noise()), blend=me.Blend(preserve=("hat",)))
    with pytest.raises(me.InputError, match="the blend needs the region 'hat'"):
        me.steps(without(), schedule)


# --- problems ---------------------------------------------------------------------------------------------


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": torch.rand(3, 16, 16)}, r"x\[None\]"),
        ({"image": torch.rand(2, 3, 8, 8)}, r"\[b, 3, 16, 16\].*[Aa]lign"),
        ({"image": torch.rand(0, 3, 16, 16)}, "wrong shape"),
        ({"image": torch.rand(2, 1, 16, 16)}, "wrong shape"),
        ({"image": torch.randint(255, (2, 3, 16, 16))}, "/ 255"),
        ({"image": torch.rand(2, 3, 16, 16) * 255}, "x / 255"),
        ({"image": torch.rand(2, 3, 16, 16) * 2 - 1}, r"\(x \+ 1\) / 2"),
        ({"image": torch.full((2, 3, 16, 16), float("nan"))}, "not finite"),
        ({"image": "face.png"}, "not a picture.*str"),
        ({"attributes": "smiling"}, "one string"),
        ({"attributes": ["smirking"]}, "no attribute 'smirking'.*smiling"),
        ({"attributes": ["pale_skin"]}, r"no region is known.*target="),
        ({"target": ["hat"]}, "no region 'hat'"),
        ({"start": torch.zeros(3, 4)}, r"w\[None\]"),
        ({"start": torch.zeros(3, 3, 4)}, r"\[2, 3, 4\]"),
        ({"start": torch.full((2, 3, 4), float("inf"))}, "not finite"),
        ({"start": "median"}, "'mean', 'encoder'"),
        ({"start": "encoder", "models": lambda: toys.models(encoder=None)}, "needs an encoder"),
        ({"models": lambda: toys.models(mean_latent=None)}, "mean latent.*None"),
        ({"models": lambda: toys.models(mean_latent=torch.zeros(2, 4))}, r"\[3, 4\]"),
        ({"models": lambda: toys.models(generator=nn.Identity())}, "Identity is not a generator.*synthesize"),
        ({"models": lambda: toys.models(parser=lambda x: x)}, "function is not a parser.*regions"),
        ({"models": lambda: toys.models(latents=flat())}, "positive deviations"),
        ({"models": lambda: toys.models(latents=spread(bald=torch.zeros(2, 4)))}, "directions like the mean"),
    ],
)  # fmt: skip
def test_a_problem_is_checked_when_it_is_made(changes, says):
    arguments = {"models": toys.models, "image": toys.pictures(2), "attributes": ["smiling"]} | changes
    with pytest.raises(me.InputError, match=says):
        me.Problem(arguments.pop("models")(), **arguments)


def test_a_problem_knows_its_target_regions():
    assert me.Problem(toys.models(), toys.pictures(1), attributes=["smiling", "wearing_lipstick"]).regions == ("mouth",)
    assert me.Problem(toys.models(), toys.pictures(1), attributes=["pale_skin"], target=["skin"]).regions == ("skin",)


def test_the_fingerprint_is_of_everything_that_decides_a_run():
    this = me.Problem(toys.models(), toys.pictures(1), attributes=["smiling"])
    assert this.fingerprint == replace(this).fingerprint
    others = [
        replace(this, image=this.image.clone().mul_(0.999)),
        replace(this, start="encoder"),
        replace(this, start=this.start_latent()),
        replace(this, attributes=["wearing_lipstick"]),
        replace(this, target=["skin"]),
        replace(this, models=toys.models(classifier=None), attributes=(), target=["mouth"]),
    ]
    assert len({this.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)


def test_networks_that_count_their_batches_have_a_fingerprint_too():
    class Counted(toys.ToyParser, nn.BatchNorm2d):
        def __init__(self) -> None:
            nn.BatchNorm2d.__init__(self, 3)
            toys.ToyParser.__init__(self)

    counted = Counted()
    this = me.Problem(toys.models(parser=counted), toys.pictures(1), attributes=["smiling"])
    before = this.fingerprint
    counted.num_batches_tracked += 1
    assert replace(this).fingerprint != before


def test_table_one():
    assert len(me.ATTRIBUTE_REGIONS) == 14
    assert me.target_regions(["blond_hair", "smiling", "wavy_hair"]) == ("hair", "mouth")
    assert set().union(*me.ATTRIBUTE_REGIONS.values()) <= set(me.REGIONS)


# --- recipes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [me.recipes.paper, me.recipes.released])
def test_recipes_have_the_papers_weights(recipe):
    schedule = recipe(["black_hair", "smiling"], target=[1.0, 0.0], size={"mouth": 1.5})
    assert [stage.name for stage in schedule] == ["fit", "edit", "settle", "detail"]
    weights = {term.name: term.weight for stage in schedule for term in stage.terms}
    assert weights == {
        "preserve": 2.0,
        "black_hair+smiling": 0.005,
        "hair_shape": 0.5,
        "mouth_size": 1.0,
        "white_noise": 1.0,
    }
    assert "hair_shape" not in repr(recipe("smiling"))


def test_paper_and_released_differ_where_the_notes_say():
    paper, released = (recipe("wavy_hair") for recipe in (me.recipes.paper, me.recipes.released))
    assert (paper.blend.target_from, released.blend.target_from) == ("generated", "original")
    assert (paper.blend.preserve, released.blend.preserve) == (("skin",), ("skin", "ears"))
    assert "which may grow" in repr(paper)
    assert released.stages[2].on_enter == (me.RedrawNoise(),)
    assert paper.stages[2].on_enter == ()
    assert released.stages[3].before_backward == paper.stages[3].after_step == (me.NormalizeNoise(),)
    assert (paper.stages[3].steps, released.stages[3].steps) == (500, 501)
    assert "which may grow" not in repr(me.recipes.paper("black_hair"))


@pytest.mark.parametrize(("recipe", "share"), [(me.recipes.fast, 6), (me.recipes.balanced, 3)])
def test_the_short_recipes_have_the_papers_objectives(recipe, share):
    options = {"target": 0.0, "hold": ["pale_skin"], "size": {"mouth": 1.5}}
    paper, short = (make("wavy_hair", **options) for make in (me.recipes.paper, recipe))
    assert [repr(stage.terms) for stage in short] == [repr(stage.terms) for stage in paper]
    assert [stage.after_step for stage in short] == [stage.after_step for stage in paper]
    assert short.blend == paper.blend
    assert short.steps * share <= paper.steps


def test_the_rate_of_the_short_recipes_falls_to_nothing():
    rate = me.recipes.Falling(0.2, 10)
    rates = [rate(step) for step in range(12)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[10], rates[11]) == (0.2, pytest.approx(0), pytest.approx(0))
    assert "lr Falling(first=0.2, steps=60)" in repr(me.recipes.fast("smiling"))


def test_the_global_recipe_runs():
    schedule = me.recipes.global_edit("pale_skin", features=lambda x: [x, x**2], face=["skin", "mouth"], steps=(3, 2))
    this = me.Problem(
        toys.models(), toys.pictures(2), attributes=["pale_skin"], target=["skin", "mouth"], start="encoder"
    )
    result = me.run(this, schedule)
    assert set(result.history.raw) == {"edit.perceptual", "edit.pale_skin", "detail.preserve", "detail.white_noise"}
    assert result.history.raw["edit.perceptual"].isfinite().all()


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.preserve("skin") * me.attribute("smiling"), "a function of the step; got Term"),
        (lambda: me.preserve("skin") * "2", "got str"),
        (lambda: me.Blend(softness=1.5), "whole pixels"),
        (lambda: me.Stage("a", 2.5, me.preserve("skin"), vary=me.latent()), "whole number.*2.5"),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary="latent"), "cannot vary that.*'latent'"),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary=[]), r"cannot vary that.*\[\]"),
        (
            lambda: me.Stage("a", 1, me.preserve("skin"), vary=[me.latent(layers=[0]), me.latent(layers=[1])]),
            "several layers",
        ),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary=me.latent(), after_step=me.GrowTarget()), r"\[event\]"),
        (lambda: me.Stage("a", 1, me.preserve("skin"), vary=me.latent(), after_step=[me.GrowTarget]), "an instance"),
        (lambda: me.Problem(toys.models(), toys.pictures(1).bfloat16()), r"x.float\(\)"),
        (lambda: me.steps(without(), plain(), seeds=3), "a list of 1; got 3"),
        (lambda: me.run(without(), plain(), save="no/such/folder/run"), "cannot be saved to no/such"),
    ],
)
def test_nonsense_is_refused_before_any_work(make, says):
    with pytest.raises(me.InputError, match=says):
        make()


def plain() -> me.Schedule:
    return me.Schedule(me.Stage("fit", 2, me.preserve("skin"), vary=me.latent()))


def test_terms_can_be_summed():
    terms = [me.preserve("skin"), me.attribute("smiling")]
    assert sum(terms).names == ("preserve", "smiling")
    assert sum([terms[0] + terms[1]]).names == ("preserve", "smiling")


def test_what_users_see_prints_in_a_line():
    this = me.Problem(toys.models(), toys.pictures(2), attributes=["smiling"])
    assert repr(this) == "Problem(2 x 16 px, editing smiling in mouth, start mean)"
    step = next(iter(me.steps(this, plain())))
    assert "image=" not in repr(step)
    text = repr(step.result())
    assert text.startswith("Result(2 images, ")
    assert "History(fit: 1 steps; fit.preserve)" in text


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
    schedule = me.Schedule(me.Stage("fit", 1, objective, vary=me.latent()), blend=me.Blend(preserve=()))
    with pytest.raises(me.RunError, match=says):
        list(me.steps(me.Problem(trio, toys.pictures(1)), schedule))
