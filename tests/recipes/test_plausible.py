"""What the recipe for small generators asks for, by kind of attribute."""

import pytest

from maskedit.recipes import plausible


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
