"""The value that everything speaks in: what it accepts, what it refuses, how it prints, travels and compares."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import maskedit as me
from tests import toys

NAMES = sorted(me.ATTRIBUTE_REGIONS)
targets = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1), max_size=4)
sizes = st.dictionaries(st.sampled_from(me.REGIONS), st.floats(0.1, 10), max_size=2)


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, object]:
    wanted = draw(targets)
    held = draw(st.lists(st.sampled_from([n for n in (*NAMES, "young") if n not in wanted]), unique=True, max_size=2))
    smoothing = draw(
        st.none() | st.floats(0, 0.5) | st.fixed_dictionaries({}, optional={n: st.floats(0, 0.5) for n in wanted})
    )
    return {"attributes": wanted, "size": draw(sizes), "hold": held, "smoothing": smoothing}


@given(wishes())
def test_it_is_a_value(wish: dict[str, object]) -> None:
    """Printed, it can be read back; pickled and copied, it is the same; one line."""
    edit = me.Edit(**wish)  # type: ignore[arg-type]
    for again in (
        eval(repr(edit), {"Edit": me.Edit}),
        pickle.loads(pickle.dumps(edit)),
        copy.copy(edit),
        copy.deepcopy(edit),
        me.Edit.of(edit),
    ):
        assert again == edit
        assert hash(again) == hash(edit)
        assert repr(again) == repr(edit)
    assert "\n" not in repr(edit)
    with pytest.raises((AttributeError, TypeError)):
        edit.attributes = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        edit.attributes["smiling"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        ("blond_hair", {"blond_hair": 1.0}),
        (["smiling", "big_nose"], {"smiling": 1.0, "big_nose": 1.0}),
        (("smiling",), {"smiling": 1.0}),
        ({"smiling": 0.7}, {"smiling": 0.7}),
        ({"smiling": torch.tensor(0.5), "big_nose": True}, {"smiling": 0.5, "big_nose": 1.0}),
        ((), {}),
    ],
)
def test_short_forms(wish: object, meant: dict[str, float]) -> None:
    assert me.Edit.of(wish) == me.Edit(meant)  # type: ignore[arg-type]
    assert dict(me.Edit.of(wish).attributes) == meant  # type: ignore[arg-type]
    assert list(me.Edit.of(wish).attributes) == list(meant)  # type: ignore[arg-type]


def test_each_part_counts() -> None:
    base = me.Edit({"smiling": 0.8}, size={"mouth": 1.2}, hold=["young"], smoothing=0.1)
    others = [
        me.Edit({"smiling": 0.7}, size={"mouth": 1.2}, hold=["young"], smoothing=0.1),
        me.Edit({"smiling": 0.8}, size={"mouth": 1.3}, hold=["young"], smoothing=0.1),
        me.Edit({"smiling": 0.8}, size={"mouth": 1.2}, hold=["male"], smoothing=0.1),
        me.Edit({"smiling": 0.8}, size={"mouth": 1.2}, hold=["young"], smoothing=0.2),
        me.Edit({"smiling": 0.8}, size={"mouth": 1.2}, hold=["young"], smoothing=0.1, regions=["mouth", "skin"]),
    ]
    assert len({base, *others}) == 6
    assert len({repr(edit) for edit in (base, *others)}) == 6
    assert base != "smiling"
    assert me.Edit(["smiling", "big_nose"]) == me.Edit(["big_nose", "smiling"])


def test_the_line_that_it_prints() -> None:
    edit = me.Edit(
        {"smiling": 0.8, "wearing_lipstick": 0}, size={"mouth": 1.2}, hold=["young"], smoothing={"smiling": 0}
    )
    line = (
        "Edit({'smiling': 0.8, 'wearing_lipstick': 0}, size={'mouth': 1.2}, hold=['young'], smoothing={'smiling': 0})"
    )
    assert repr(edit) == line
    assert repr(me.Edit()) == "Edit()"
    assert repr(me.Edit({"smiling": 0.1234567890123})) == "Edit({'smiling': 0.1234567890123})"


@pytest.mark.parametrize(
    ("edit", "regions"),
    [
        (me.Edit("blond_hair"), ("hair",)),
        (me.Edit(["smiling", "wearing_lipstick", "wavy_hair"]), ("mouth", "hair")),
        (me.Edit("blond_hair", size={"mouth": 2}), ("hair", "mouth")),
        (me.Edit(size={"mouth": 2}), ("mouth",)),
        (me.Edit("smiling", size={"mouth": 2}), ("mouth",)),
        (me.Edit("young"), me.FACE),
        (me.Edit("large_wheels", regions=["wheels"]), ("wheels",)),
        (me.Edit(regions=["mouth"]), ("mouth",)),
        (me.Edit(), ()),
    ],
)
def test_it_says_where_it_lies(edit: me.Edit, regions: tuple[str, ...]) -> None:
    assert edit.regions == regions


def test_an_attribute_of_no_known_region_wants_one() -> None:
    with pytest.raises(me.InputError, match=r"no region is known for the attribute 'beard'.*Edit\(\.\.\., regions="):
        me.Edit("beard").regions  # noqa: B018


def test_smoothings_of_each_attribute() -> None:
    assert me.Edit(["smiling", "big_nose"]).smoothings(0.05) == [0.05, 0.05]
    assert me.Edit(["smiling", "big_nose"], smoothing=0.2).smoothings(0.05) == [0.2, 0.2]
    assert me.Edit(["smiling", "big_nose"], smoothing={"big_nose": 0}).smoothings(0.05) == [0.05, 0.0]


def test_nothing_is_wished_for_without_a_name() -> None:
    assert not me.Edit()
    assert not me.Edit(regions=["mouth"], hold=["young"])
    assert me.Edit("smiling")
    assert me.Edit(size={"mouth": 2})


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.Edit({"smiling": 1.5}), r"the target of 'smiling' is out of range.*\[0, 1\]; got 1.5"),
        (lambda: me.Edit({"smiling": -0.1}), r"got -0.1"),
        (lambda: me.Edit({"smiling": float("nan")}), "got nan"),
        (lambda: me.Edit({"smiling": "much"}), "got 'much'"),
        (lambda: me.Edit({"smiling": "1"}), "got '1'"),
        (lambda: me.Edit({"smiling": None}), "got None"),
        (lambda: me.Edit("smiling", smoothing=0.6), r"the smoothing is out of range.*\[0, 0.5\]; got 0.6"),
        (lambda: me.Edit("smiling", smoothing={"smiling": -1}), "the smoothing of 'smiling' is out of range"),
        (lambda: me.Edit("smiling", smoothing={"young": 0.1}), "'young' has a smoothing but is not edited.*smiling"),
        (lambda: me.Edit(size={"mouth": 0}), "the size of 'mouth' is out of range; expected a positive number; got 0"),
        (lambda: me.Edit(size={"mouth": -2}), "a positive number; got -2"),
        (lambda: me.Edit(size={"mouth": float("inf")}), "got inf"),
        (lambda: me.Edit(size={"mouth": 2}, regions=["hair"]), "'mouth' is to have another size but may not change"),
        (lambda: me.Edit("smiling", hold=["smiling"]), "'smiling' is both edited and held"),
        (lambda: me.Edit(["smiling", "smiling"]), "'smiling' is named twice"),
        (lambda: me.Edit("smiling", hold=["young", "young"]), "'young' is named twice"),
        (lambda: me.Edit("smiling", regions=["hair", "hair"]), "'hair' is named twice"),
        (lambda: me.Edit([3]), "what is edited has no name.*got 3"),
        (lambda: me.Edit([""]), "has no name"),
        (lambda: me.Edit.of(3), "that is no edit.*int"),
        (lambda: me.Edit.of(None), "that is no edit.*NoneType"),
    ],
)
def test_what_cannot_be_is_refused(make: object, says: str) -> None:
    with pytest.raises(me.InputError, match=says):
        make()  # type: ignore[operator]


def test_the_ends_of_the_ranges_are_in_them() -> None:
    me.Edit({"smiling": 0, "big_nose": 1}, smoothing=0.5)
    me.Edit("smiling", smoothing=0)
    me.Edit("smiling", hold="young")


@pytest.mark.parametrize(
    ("edit", "parts", "says"),
    [
        (me.Edit("smilin", regions=["mouth"]), {}, "the classifier has no attribute 'smilin'.*Did you mean 'smiling'"),
        (me.Edit("smiling", hold=["pale_skim"]), {}, "no attribute 'pale_skim'.*Did you mean 'pale_skin'"),
        (me.Edit(size={"mouht": 2}), {}, "the parser has no region 'mouht'.*Did you mean 'mouth'"),
        (me.Edit("smiling", regions=["hat"]), {}, "the parser has no region 'hat'; expected one of background, skin"),
        (me.Edit("smiling"), {"classifier": None}, "attribute 'smiling' needs a classifier; got models.classifier is"),
        (me.Edit("smiling"), {"parser": None}, "region 'mouth' needs a parser"),
    ],
)
def test_it_is_checked_against_models(edit: me.Edit, parts: dict[str, None], says: str) -> None:
    with pytest.raises(me.InputError, match=says):
        edit.check(toys.models(**parts))
    with pytest.raises(me.InputError, match=says):
        me.Problem(toys.models(**parts), toys.pictures(1), edit)


def test_what_models_have_passes() -> None:
    me.Edit({"smiling": 0.5}, size={"mouth": 2}, hold=["pale_skin"]).check(toys.models())
    me.Edit().check(toys.models(parser=None, classifier=None))


@pytest.mark.parametrize(
    ("edit", "objective", "blend", "says"),
    [
        ((), me.preserve("skin"), me.Paste(preserve=()), "the run would change nothing: the problem names no region"),
        (
            me.Edit(regions=["skin"]),
            me.attribute("smiling"),
            me.Paste(),
            "'smiling' of stage 'edit' is about the mouth",
        ),
        (me.Edit(regions=["skin"]), me.region_size("mouth", scale=2), me.Paste(), "'mouth_size'.*is about the mouth"),
        (
            me.Edit(regions=["background"]),
            me.attribute("pale_skin"),
            me.Paste(preserve=()),
            "'pale_skin'.*skin and mouth",
        ),
    ],
)
def test_a_run_that_could_change_nothing_is_refused(
    edit: me.Edit, objective: me.Term, blend: me.Blend, says: str
) -> None:
    schedule = me.Schedule(me.Stage("edit", 2, objective, vary=me.latent()), blend=blend)
    problem = me.Problem(toys.models(), toys.pictures(1), edit)
    with pytest.raises(me.InputError, match=says):
        me.run(problem, schedule)
    assert toys.calls(problem.models) == {"generator": 0, "parser": 0, "classifier": 0}


@pytest.mark.parametrize(
    ("edit", "objective", "blend"),
    [
        (me.Edit("smiling", regions=["skin"]), me.attribute("smiling"), me.Paste()),  # who names regions knows
        (me.Edit(regions=["skin"]), me.attribute("pale_skin"), me.Paste(preserve=())),
        ((), me.preserve("skin"), me.Paste()),
        ((), me.attribute("smiling"), None),
        ((), me.attribute("smiling"), me.Paste(preserve=("mouth",))),
    ],
)
def test_a_run_that_could_change_something_is_not(edit: me.Edit, objective: me.Term, blend: me.Blend | None) -> None:
    schedule = me.Schedule(me.Stage("edit", 1, objective, vary=me.latent()), blend=blend)
    assert me.run(me.Problem(toys.models(), toys.pictures(1), edit), schedule).status == ("Finished.",)
