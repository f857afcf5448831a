"""A local edit as the paper describes it."""

from maskedit.attributes import HAIR_SHAPES
from maskedit.blending import Paste
from maskedit.edit import Edit, Wish
from maskedit.recipes.recipe import Recipe
from maskedit.recipes.wishes import check_local, looks, sizes
from maskedit.schedule import GrowTarget, NormalizeNoise, Stage, latent, noise, unchanged
from maskedit.terms import Objective, preserve, shape, white_noise

NEEDS = ("parser", "classifier", "mean_latent")


def paper(wish: Wish, *, steps: tuple[int, int, int, int] = (500, 200, 300, 500)) -> Recipe:
    """A local edit as the paper describes it.

    Fit the latent to the preserved region (Eq. 2); add the other terms while the masks follow the target
    (Eq. 7-9), then with the masks as they are; freeze the latent and optimise the noise (Eq. 10). The
    noise is zero until then, and normalised after each of its steps. Smoothing is 0.05 where the edit leaves it open.

    Args:
        wish: an Edit or a short form of one.
        steps: of fit, edit, settle and detail.

    Raises:
        InputError: if nothing is wished for, or a change of the whole face.
    """
    edit = Edit.of(wish)
    keep, change = objectives(edit)
    generated = any(name in HAIR_SHAPES for name in edit.attributes)
    return Recipe(
        Stage("fit", steps[0], keep, vary=latent(lr=1e-3)),
        Stage("edit", steps[1], change, vary=latent(lr=1e-3), after_step=[GrowTarget()]),
        Stage("settle", steps[2], change, vary=unchanged()),
        Stage("detail", steps[3], keep + white_noise(), vary=noise(lr=0.1), after_step=[NormalizeNoise()]),
        blend=Paste(target_from="generated" if generated else "original"),
        edit=edit,
        start="mean",
        needs=NEEDS if edit.attributes else ("parser", "mean_latent"),
    )


def objectives(edit: Edit, ears: tuple[str, ...] = ()) -> tuple[Objective, Objective]:
    """Eq. 9 with its weights: what to keep; that and the edit."""
    check_local(edit)
    keep = Objective([2.0 * preserve("skin", *ears)])
    change = keep
    if edit.attributes:
        change = change + 0.005 * looks(edit, edit.attributes, smoothing=0.05)
    if "hair" in edit.regions and "hair" not in edit.size:
        shapes = any(name in HAIR_SHAPES for name in edit.attributes)
        change = change + 0.5 * shape("hair", *ears, grow=shapes)
    return keep, change + Objective(sizes(edit))
