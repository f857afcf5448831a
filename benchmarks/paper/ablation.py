"""Table VI: the paper's method without its noise stage and its shape term, with the noise, and whole."""

from collections.abc import Callable
from dataclasses import replace

from maskedit import recipes
from maskedit.edit import Edit
from maskedit.editors import Editor, MaskFaceGAN
from maskedit.protocols import Models
from maskedit.recipes import Recipe
from maskedit.terms import Objective


def ablated(recipe: Callable[[Edit], Recipe], *, shape: bool, detail: bool) -> Callable[[Edit], Recipe]:
    """A recipe without its terms of shape, without its stage on the noise, or without both.

    Args:
        recipe: with stages as :func:`maskedit.recipes.paper` names them.
        shape: keep the terms that are called "..._shape".
        detail: keep the stage "detail".
    """

    def changed(edit: Edit) -> Recipe:
        made = recipe(edit)
        stages = [stage for stage in made if detail or stage.name != "detail"]
        if not shape:
            stages = [
                replace(stage, objective=Objective([term for term in stage.terms if not term.name.endswith("_shape")]))
                for stage in stages
            ]
        return Recipe(*stages, blend=made.blend, edit=made.edit, start=made.start, needs=made.needs)

    return changed


def ablation(models: Models) -> dict[str, Editor]:
    """The three rows of Table VI, by ``recipes.fast``: the paper's objectives in a seventh of its steps."""
    rows = {
        "latent": ("latent code alone, no shape term", False, False),
        "noise": ("+ noise optimisation", False, True),
        "whole": ("+ shape term (complete)", True, True),
    }
    return {
        short: MaskFaceGAN(models, recipe=ablated(recipes.fast, shape=shape, detail=detail), name=name)
        for short, (name, shape, detail) in rows.items()
    }
