"""A local edit as the authors' released program does it."""

from maskedit.attributes import HAIR_SHAPES
from maskedit.blending import Paste
from maskedit.edit import Edit, Wish
from maskedit.recipes._paper import NEEDS, objectives
from maskedit.recipes.recipe import Recipe
from maskedit.schedule import GrowTarget, NormalizeNoise, RedrawNoise, Stage, latent, noise, unchanged
from maskedit.terms import white_noise


def released(wish: Wish, *, steps: tuple[int, int, int, int] = (500, 200, 300, 501)) -> Recipe:
    """A local edit as the authors' released program does it, step for step.

    It differs from :func:`paper`: the noise becomes random when the masks freeze; it is normalised between
    forward and backward; for hair shape the ears are preserved and part of the shape, and the blend's mask
    stays the input's. docs/deviations.md lists all.

    Args:
        wish: an Edit or a short form of one. The released program knows one attribute at a time, several work
            alike; ``hold`` is not in it.
        steps: of fit, edit, settle and detail.

    Raises:
        InputError: if nothing is wished for, or a change of the whole face.
    """
    edit = Edit.of(wish)
    ears = ("ears",) if any(name in HAIR_SHAPES for name in edit.attributes) else ()
    keep, change = objectives(edit, ears)
    return Recipe(
        Stage("fit", steps[0], keep, vary=latent(lr=1e-3)),
        Stage("edit", steps[1], change, vary=latent(lr=1e-3), after_step=[GrowTarget()]),
        Stage("settle", steps[2], change, vary=unchanged(), on_enter=[RedrawNoise()]),
        Stage("detail", steps[3], keep + white_noise(), vary=noise(lr=0.1), before_backward=[NormalizeNoise()]),
        blend=Paste(preserve=("skin", *ears)),
        edit=edit,
        start="mean",
        needs=NEEDS if edit.attributes else ("parser", "mean_latent"),
    )
