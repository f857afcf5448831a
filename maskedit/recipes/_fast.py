"""The paper's objectives in fewer, longer steps, from the encoder's latent. Not in the paper."""

import math
from dataclasses import dataclass, replace

from maskedit.edit import Wish
from maskedit.recipes._paper import paper
from maskedit.recipes.recipe import Recipe
from maskedit.schedule import latent, noise


@dataclass(frozen=True)
class Falling:
    """A learning rate that falls along half a cosine, from ``first`` towards zero after ``steps``.

    >>> rate = Falling(0.1, 100)
    >>> rate(0), round(rate(50), 3)
    (0.1, 0.05)
    """

    first: float | int
    steps: int

    def __call__(self, step: int) -> float:
        return self.first * (1 + math.cos(math.pi * min(step / self.steps, 1))) / 2


def fast(wish: Wish, *, rate: float | int = 0.02, steps: tuple[int, int, int, int] = (60, 40, 60, 60)) -> Recipe:
    """The objectives of :func:`paper` in a seventh of its steps: not in the paper.

    Long steps that shorten, from a latent that is near already, the encoder's. How near it comes to the paper's
    objective: docs/performance.md.

    Args:
        wish: an Edit or a short form of one.
        rate: the latent's first learning rate in each stage; where w is wider spread, a higher one may do.
        steps: of fit, edit, settle and detail.

    Raises:
        InputError: if nothing is wished for, or a change of the whole face.
    """
    recipe = paper(wish, steps=steps)
    fit, edit, settle, detail = recipe
    return Recipe(
        replace(fit, vary=latent(lr=Falling(rate, steps[0]))),
        replace(edit, vary=latent(lr=rate)),
        replace(settle, vary=latent(lr=Falling(rate, steps[2]))),
        replace(detail, vary=noise(lr=Falling(0.2, steps[3]))),
        blend=recipe.blend,
        edit=recipe.edit,
        start="encoder",
        needs=tuple("encoder" if role == "mean_latent" else role for role in recipe.needs),
    )


def balanced(wish: Wish) -> Recipe:
    """:func:`fast` with twice the steps."""
    return fast(wish, steps=(120, 80, 120, 120))
