"""The paper's method as an editor: it is the run of its recipe, and says what it cannot do."""

import pytest
import torch

import maskedit as me
from maskedit.edit import Edit
from maskedit.editors import Editor, MaskFaceGAN
from maskedit.errors import InputError
from tests import toys


def short(wish):
    """A recipe that ends soon, and keeps what it was told."""
    short.told = wish
    return me.recipes.paper(wish, steps=(3, 3, 2, 2))


def editor() -> MaskFaceGAN:
    return MaskFaceGAN(toys.models(), recipe=short)


def test_an_edit_is_the_run_of_its_recipe() -> None:
    images, wish = toys.pictures(2), Edit({"smiling": 0.8}, hold=["pale_skin"], size={"mouth": 1.2}, smoothing=0.01)
    made = editor()
    assert isinstance(made, Editor)
    edited = made.edit(images, wish, [3, 4])
    assert short.told == wish
    recipe = short(wish)
    expected = me.run(recipe.problem(toys.models(), images), recipe, seeds=[3, 4]).image.clamp(0, 1)
    torch.testing.assert_close(edited.images, expected)
    assert edited.seconds > 0
    assert edited.capabilities.size
    assert edited.capabilities.hold


def test_it_edits_what_table_i_places_and_the_classifier_tells() -> None:
    assert editor().capabilities.attributes == ("smiling", "wearing_lipstick")  # pale skin has no region there
    with pytest.raises(InputError, match="the MaskFaceGAN has no attribute 'pale_skin'"):
        editor().edit(toys.pictures(1), Edit({"pale_skin": 1}), [0])
    with pytest.raises(InputError, match="MaskFaceGAN needs a classifier"):
        MaskFaceGAN(toys.models(classifier=None))
