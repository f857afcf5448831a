"""Coordinates for an aim, on a classifier of points that says what it is asked by a plain sum."""

import pytest
import torch
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.geometry import Aimed, ShapeClassifier, aim, load_coordinates, mesh
from maskedit.models.geometry.classifier import SHOWN_BY
from maskedit.models.geometry.coordinates import REGIONS, names

COORDINATES = load_coordinates()
NAMED = {
    "smiling": ("mouth", "smile"),
    "mouth_slightly_open": ("mouth", "open"),
    "arched_eyebrows": ("eyebrows", "arch"),
    "pointy_nose": ("nose", "tip"),
    "big_nose": ("nose", "wide"),
    "narrow_eyes": ("eyes", "open"),
}
"""The coordinate that each logit of the classifier here is along."""


def classifier() -> ShapeClassifier:
    """One logit a deviation along one coordinate each; narrow eyes against the opening."""
    model = ShapeClassifier().requires_grad_(False)
    model.mean.copy_(COORDINATES.mean)
    for i, (name, region) in enumerate(SHOWN_BY.items()):
        flat = COORDINATES.directions[region][2 + names(region)[4:].index(NAMED[name][1])][:, :2].clone()
        flat[[row for row in range(len(flat)) if row not in mesh.rows(mesh.OWN[region])]] = 0
        sign = -1 if name == "narrow_eyes" else 1
        model.weights[i] = sign * flat / flat.square().sum()
    return model


def faces() -> Tensor:
    mean = COORDINATES.mean[None, :, :2]
    return torch.cat([mean, mean + 0.01 * (mean - 0.5)])


def asked(**wanted: dict[str, float]) -> Aimed:
    return aim(faces(), classifier=classifier(), coordinates=COORDINATES, **wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SHOWN_BY)
@pytest.mark.parametrize("logit", [1.0, -1.0])
def test_an_attribute_comes_to_its_logit(name: str, logit: float) -> None:
    found = asked(logits={name: logit})
    torch.testing.assert_close(found.logits[name], torch.full((2,), logit), atol=0.15, rtol=0)
    assert found.notes == ("", "")


def test_only_the_region_that_shows_it_moves() -> None:
    rows = asked(logits={"narrow_eyes": 1.0}).rows
    others = [i for i, region in enumerate(REGIONS) if region != "eyes"]
    assert (rows[:, others] == 0).all()
    assert (rows[:, REGIONS.index("eyes")] != 0).any()


def test_other_attributes_stay() -> None:
    """A smile does not open the mouth."""
    model = classifier()
    found = asked(logits={"smiling": 1.5})
    apart = model.of_points(found.shape, model.attributes) - model.of_points(faces(), model.attributes)
    apart[:, model.attributes.index("smiling")] = 0
    assert apart.abs().max() < 0.25


def test_what_is_not_held_may_follow() -> None:
    """A classifier that tells a smile by an open mouth too opens the mouth, unless that is held."""
    model = classifier()
    model.weights[0] += model.weights[1]
    opened = []
    for hold in (None, ()):
        found = aim(faces(), logits={"smiling": 1.5}, hold=hold, classifier=model, coordinates=COORDINATES)
        opened.append(model.of_points(found.shape, ["mouth_slightly_open"]).mean())
    assert opened[0] < 0.2 < opened[1]


def test_who_has_it_already_stays_as_he_is() -> None:
    model = classifier()
    smiling = COORDINATES.shape(faces(), COORDINATES.rows({"mouth": {"smile": 2.0}}, 2))
    found = aim(smiling, logits={"smiling": 0.5}, classifier=model, coordinates=COORDINATES)
    torch.testing.assert_close(found.shape, smiling, atol=1e-3, rtol=0)


@pytest.mark.parametrize("region", ["mouth", "eyes", "eyebrows", "nose"])
@pytest.mark.parametrize("factor", [0.9, 1.15])
def test_a_size_is_reached_within_a_tenth_or_it_is_said(region: str, factor: float) -> None:
    found = asked(size={region: factor})
    for grown, note in zip(found.sizes[region].tolist(), found.notes, strict=True):
        assert grown == pytest.approx(factor, rel=0.1) or f"{region} grew by" in note
    grown = mesh.area(found.shape, region) / mesh.area(faces(), region)
    torch.testing.assert_close(grown, found.sizes[region], atol=1e-3, rtol=0)


def test_the_end_of_the_safe_range_is_said() -> None:
    found = asked(logits={"smiling": 9.0}, size={"nose": 3.0})
    assert found.notes[0].startswith("The safe range of this face ended first: smiling ended at a logit of ")
    assert "nose grew by 1." in found.notes[0]
    assert "of 3.00" in found.notes[0]


def test_a_batch_equals_singles() -> None:
    together = asked(logits={"smiling": 1.0})
    for i in range(2):
        alone = aim(faces()[i : i + 1], logits={"smiling": 1.0}, classifier=classifier(), coordinates=COORDINATES)
        torch.testing.assert_close(alone.rows[0], together.rows[i], atol=1e-3, rtol=0)


def test_what_cannot_be_asked_gets_a_sentence() -> None:
    with pytest.raises(InputError, match="no attribute is called 'young'"):
        asked(logits={"young": 1.0})
    with pytest.raises(InputError, match="no attribute is called 'young'"):
        aim(faces(), hold=["young"], classifier=classifier(), coordinates=COORDINATES)
    with pytest.raises(InputError, match="the size of 'hair' cannot change; expected one of mouth"):
        asked(size={"hair": 1.0})
    with pytest.raises(InputError, match="the nose cannot have that size; expected a positive factor"):
        asked(size={"nose": 0.0})


def test_turn_and_size_of_the_head_are_undone() -> None:
    """The logits of a face that was turned in the picture, shrunk and moved are its own."""
    model, points = classifier(), faces()
    turn = torch.tensor([[0.96, -0.28], [0.28, 0.96]])
    moved = 0.8 * points @ turn + torch.tensor([0.1, 0.05])
    torch.testing.assert_close(
        model.of_points(moved, model.attributes), model.of_points(points, model.attributes), atol=0.02, rtol=0
    )
