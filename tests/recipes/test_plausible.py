"""What the recipe for small generators asks for, by kind of attribute."""

import pytest

import maskedit as me
from maskedit.recipes import plausible
from tests.recipes.written_out import check


@pytest.mark.parametrize(
    ("attributes", "components", "prior", "kind", "preserve"),
    [
        ("gray_hair", 64, 0.002, "tint", ()),
        ("wearing_lipstick", 64, 0.002, "tint", ()),
        ("wavy_hair", 64, 0.002, "change", ()),
        (("wavy_hair", "blond_hair"), 64, 0.002, "change", ()),
        ("bushy_eyebrows", 64, 0.05, "redraw", ("skin",)),
        ("mouth_slightly_open", 24, 0.05, "redraw", ("skin",)),
        (("smiling", "bushy_eyebrows"), 24, 0.05, "redraw", ("skin",)),
        (("big_nose", "blond_hair"), 24, 0.05, "redraw", ("skin",)),
    ],
)
def test_shapes_move_less_freely_and_are_redrawn(
    attributes: str | tuple[str, ...], components: int, prior: float, kind: str, preserve: tuple[str, ...]
) -> None:
    schedule = plausible(attributes)
    fit, edit = schedule
    assert f"{components} components" in str(schedule)
    assert next(term.weight for term in edit.objective.terms if term.name == "latent_prior") == prior
    assert next(term.weight for term in fit.objective.terms if term.name == "latent_prior") == 0.002
    assert schedule.blend is not None
    assert (schedule.blend.kind, schedule.blend.preserve) == (kind, preserve)


@pytest.mark.parametrize("attributes", ["smiling", "arched_eyebrows", ("smiling", "arched_eyebrows")])
def test_some_shapes_move_along_their_own_direction(attributes: str | tuple[str, ...]) -> None:
    schedule = plausible(attributes)
    names = (attributes,) if isinstance(attributes, str) else attributes
    assert f"along {' + '.join(names)}" in str(schedule)
    assert "smoothing=0.03" in str(schedule)
    assert "after the blend" not in str(schedule)
    assert schedule.blend is not None
    assert schedule.blend.kind == "redraw"


def test_a_smile_goes_along_components() -> None:
    assert "24 components" in str(plausible("smiling", target=0))
    assert "24 components" in str(plausible(["smiling", "arched_eyebrows"], target=[0, 1]))
    assert "along arched_eyebrows" in str(plausible("arched_eyebrows", target=0))


@pytest.mark.parametrize("attributes", ["smiling", "big_nose"])
def test_the_smoothing_can_be_chosen(attributes: str) -> None:
    assert "smoothing=0.2" in str(plausible(attributes, smoothing=0.2))


def test_components_can_be_chosen() -> None:
    assert "7 components" in str(plausible("smiling", components=7))


def test_the_fit_is_of_all_but_the_background_and_the_edit_leaves_its_regions_free() -> None:
    fit, edit = plausible("smiling")
    assert "skin + mouth + eyebrows + eyes + nose + hair + ears + below_face" in str(fit.objective)
    assert "skin + eyebrows + eyes + nose + hair + ears + below_face" in str(edit.objective)


FACE = ("skin", "mouth", "eyebrows", "eyes", "nose", "hair", "ears", "below_face")


def expected(names, regions, *, prior, lr, moves, weight=5.0, look=None, shape=False, size=None, steps=(120, 200)):
    """The two stages, written out."""
    kept = [name for name in FACE if name not in regions]
    edit = weight * me.preserve(*kept) + prior * me.latent_prior() + 0.03 * look
    if shape:
        edit = edit + 0.5 * me.shape("hair")
    for region, scale in (size or {}).items():
        edit = edit + me.region_size(region, scale=scale)
    fit = 5.0 * me.preserve(*FACE) + 0.002 * me.latent_prior()
    return (
        me.Stage("fit", steps[0], fit, vary=me.latent(lr=0.02)),
        me.Stage("edit", steps[1], edit, vary=me.latent(lr=lr, **moves), after_step=[me.GrowTarget()]),
    )


def test_a_hair_colour_written_out() -> None:
    look = me.attribute("black_hair", smoothing=0.01, hold=["young"], seen_in="blended")
    parts = {"prior": 0.002, "lr": 0.05, "moves": {"components": 64}, "look": look, "shape": True}
    check(
        plausible("black_hair", hold=["young"]),
        me.Blend(kind="tint", preserve=(), softness=1, since="fit"),
        *expected("black_hair", ["hair"], **parts),
    )


def test_a_hair_shape_written_out() -> None:
    look = me.attribute("wavy_hair", target=0.7, smoothing=0.2, seen_in="blended")
    parts = {"prior": 0.002, "lr": 0.05, "moves": {"components": 64}, "look": look, "shape": True}
    check(
        plausible("wavy_hair", target=0.7, smoothing=0.2, steps=(3, 4)),
        me.Blend(kind="change", preserve=(), softness=1, since="fit"),
        *expected("wavy_hair", ["hair"], **parts, steps=(3, 4)),
    )


@pytest.mark.parametrize(("name", "region", "components"), [("big_nose", "nose", 24), ("narrow_eyes", "eyes", 64)])
def test_a_shape_with_a_size_written_out(name: str, region: str, components: int) -> None:
    look = me.attribute(name, smoothing=0.01, hold=["smiling"], seen_in="blended")
    parts = {"prior": 0.05, "lr": 0.03, "moves": {"components": components}, "look": look, "size": {region: 1.5}}
    check(
        plausible(name, hold=["smiling"], size={region: 1.5}),
        me.Blend(kind="redraw", preserve=("skin",), softness=1, since="fit"),
        *expected(name, [region], **parts),
    )


def test_a_new_smile_written_out() -> None:
    look = me.attribute("smiling", target=0.8, smoothing=0.03, hold=["young"])
    parts = {"weight": 0.05, "prior": 0.01, "lr": 0.03, "moves": {"along": ["smiling"]}, "look": look}
    check(
        plausible("smiling", target=0.8, hold=["young"], size={"mouth": 1.2}),
        me.Blend(kind="redraw", preserve=("skin",), softness=1, since="fit"),
        *expected("smiling", ["mouth"], **parts, size={"mouth": 1.2}),
    )


def test_half_a_smile_goes_along_components_and_more_along_its_direction() -> None:
    assert "24 components" in str(plausible("smiling", target=0.5))
    assert "along smiling" in str(plausible("smiling", target=0.51))
