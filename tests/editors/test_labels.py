"""What the translators are told, against the released programs' own targets and vectors."""

import pytest
import torch

from maskedit.editors.labels import ATTGAN_GROUPS, STARGAN_GROUPS, STGAN_GROUPS, present_labels, wanted_labels
from maskedit.editors.translators import difference, wanted_intensity, wanted_state
from maskedit.errors import InputError
from tests.editors.conftest import Seeing
from tests.models.networks.rivals import Reference

GROUPS = {"stargan": STARGAN_GROUPS, "attgan": ATTGAN_GROUPS, "stgan": STGAN_GROUPS}


@pytest.mark.parametrize("method", GROUPS)
def test_targets_are_the_released_programs(fixtures, method) -> None:
    reference = Reference(fixtures, method)
    labels, names = reference["labels"], reference.attributes
    hair = STARGAN_GROUPS[0]
    for i, name in enumerate(names):
        for picture in range(2):
            own = labels[picture : picture + 1]
            target = 1.0 if method == "stargan" and name in hair else 1 - float(own[0, i])
            wanted = wanted_labels(own, names, {name: target}, GROUPS[method])
            assert torch.equal(wanted[0], reference["targets"][i, picture]), (name, picture)


@pytest.mark.parametrize(("method", "told"), [("attgan", wanted_intensity), ("stgan", difference)])
def test_vectors_are_the_released_programs(fixtures, method, told) -> None:
    reference = Reference(fixtures, method)
    labels, names = reference["labels"], reference.attributes
    for which in ("a", "b"):
        column = int(reference[f"flipped_{which}"])
        wanted = reference["targets"][column]
        found = told(labels, wanted.clone(), [column])
        key = "vector" if method == "attgan" else "difference"
        torch.testing.assert_close(found, reference[f"{key}_{which}"])
        assert names[column]


def test_nothing_asked_for_changes_nothing() -> None:
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    wanted = wanted_labels(labels, ["blond_hair", "black_hair", "young"], {}, ATTGAN_GROUPS)
    assert torch.equal(wanted, labels)
    assert torch.equal(difference(labels, wanted, []), torch.zeros(1, 3))
    assert torch.equal(wanted_state(labels, wanted, []), labels)


def test_of_two_that_were_asked_for_neither_excludes_the_other() -> None:
    names = ["blond_hair", "black_hair", "bangs"]
    wanted = wanted_labels(torch.zeros(1, 3), names, {"blond_hair": 1.0, "black_hair": 0.8}, ATTGAN_GROUPS)
    torch.testing.assert_close(wanted, torch.tensor([[1.0, 0.8, 0.0]]))


def test_labels_are_what_the_classifier_sees() -> None:
    classifier = Seeing({"young": [1, 0], "bangs": [0, 0]})
    images = torch.rand(2, 3, 4, 4)
    assert present_labels(classifier, images, ["bangs", "young"]).tolist() == [[0, 1], [0, 0]]
    with pytest.raises(InputError, match="the classifier has no attribute 'bald'"):
        present_labels(classifier, images, ["young", "bald"])


def test_what_is_taken_away_excludes_nothing() -> None:
    names = ["blond_hair", "black_hair"]
    wanted = wanted_labels(torch.ones(1, 2), names, {"blond_hair": 0.0}, ATTGAN_GROUPS)
    torch.testing.assert_close(wanted, torch.tensor([[0.0, 1.0]]))
