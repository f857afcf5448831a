"""An edit of the whole face, such as age (Section F of the paper)."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from maskedit.attributes import FACE
from maskedit.blending import Paste
from maskedit.edit import Edit, Wish
from maskedit.recipes.recipe import Recipe
from maskedit.recipes.wishes import check_wished, looks, sizes
from maskedit.schedule import NormalizeNoise, Stage, latent, noise
from maskedit.terms import Objective, perceptual, preserve, white_noise
from maskedit.types import Image


def global_edit(
    wish: Wish,
    *,
    features: Callable[[Image], Sequence[Float[Tensor, "b _ _ _"]]] | None = None,
    distance: nn.Module | None = None,
    weight: float | int = 0.03,
    steps: tuple[int, int] = (500, 500),
) -> Recipe:
    """An edit of the whole face, such as age: a perceptual loss in place of the masked one (Section F).

    As released: the classifier from the first step, one Adam throughout, from the encoder's code. What may change is
    the face (:data:`maskedit.attributes.FACE`) or the regions that the Edit names.

    Args:
        wish: an Edit or a short form of one, of any of the classifier's attributes.
        features: maps an image to feature maps; see :class:`~maskedit.losses.MaskedPerceptual`.
        distance: in its place: a distance inside a mask, such as the :class:`~maskedit.models.LPIPS` of the released
            program.
        weight: of the classifier's term.
        steps: of edit and detail.

    Raises:
        InputError: if no attribute is wished for.
    """
    edit = Edit.of(wish)
    check_wished(edit)
    if not edit.says_where:
        edit = edit.within(tuple(dict.fromkeys((*FACE, *edit.size))))
    face = edit.regions
    change = Objective([perceptual(*face, features=features, distance=distance), *sizes(edit)])
    if edit.attributes:
        change = change + weight * looks(edit, edit.attributes, smoothing=0.05)
    return Recipe(
        Stage("edit", steps[0], change, vary=latent(lr=1e-3)),
        Stage(
            "detail", steps[1], 2.0 * preserve(*face) + white_noise(), vary=noise(lr=0.1), after_step=[NormalizeNoise()]
        ),
        blend=Paste(preserve=()),
        edit=edit,
        start="encoder",
        needs=("parser", "classifier", "encoder") if edit.attributes else ("parser", "encoder"),
    )
