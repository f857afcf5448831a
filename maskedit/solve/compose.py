"""How a generated picture ends: inside the original, as the schedule's blend says (Eq. 12)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from maskedit.blending import Blend
from maskedit.functional import relax_preserved
from maskedit.problem import Problem
from maskedit.terms import Reads, Shown
from maskedit.types import Image, Mask


@dataclass(frozen=True, eq=False)
class Composition:
    """A blended picture and what it was made of.

    Args:
        image: the blended pictures ``[b, 3, R, R]``.
        masks: ``"preserve"`` as last relaxed, ``"target"`` of the input, ``"blend"``, each ``[b, 1, R, R]``.
    """

    image: Image
    masks: Mapping[str, Mask]


def compose(
    blend: Blend, problem: Problem, original: Shown, generated: Image, fitted: Image | None, grown: Mask
) -> Composition:
    """The blended picture, with gradient to the generated one; its masks are constants.

    Args:
        blend: the schedule's.
        problem: what is edited.
        original: the input, as the models see it.
        generated: ``[b, 3, R, R]``.
        fitted: the generated picture from which the change is counted, for blends that need it.
        grown: where the target was last seen ``[b, 1, R, R]``.
    """
    with torch.no_grad():
        preserved = _region(original, blend.preserve, problem.image)
        target = within = _region(original, problem.regions, problem.image)
        if blend.target_from == "generated":
            reads = Reads(regions=problem.regions)
            now = Shown(models=problem.models, reads=reads, image=generated.detach())
            within = _region(now, problem.regions, problem.image)
        masks = {
            "preserve": relax_preserved(preserved, grown),
            "target": target,
            "blend": blend.mask(preserved, within),
        }
    return Composition(blend(generated, fitted, problem.image, masks["blend"]), masks)


def _region(shown: Shown, names: tuple[str, ...], like: Tensor) -> Tensor:
    return shown.region(*names) if names else torch.zeros_like(like[:, :1])
