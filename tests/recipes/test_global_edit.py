"""Edits of the whole face."""

import maskedit as me
from tests import toys


def test_the_global_recipe_runs():
    schedule = me.recipes.global_edit("pale_skin", features=lambda x: [x, x**2], face=["skin", "mouth"], steps=(3, 2))
    this = me.Problem(toys.models(), toys.pictures(2), me.Edit("pale_skin", regions=["skin", "mouth"]), start="encoder")
    result = me.run(this, schedule)
    assert set(result.history.raw) == {"edit.perceptual", "edit.pale_skin", "detail.preserve", "detail.white_noise"}
    assert result.history.raw["edit.perceptual"].isfinite().all()
