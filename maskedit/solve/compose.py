"""How a generated picture ends: inside the original, as the schedule's blend says (Eq. 12)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from maskedit.blending import Blend, Patch, Several
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
        patches: what was laid upon the original, in order.
    """

    image: Image
    masks: Mapping[str, Mask]
    patches: tuple[Patch, ...]


def compose(
    blend: Blend | Several, problem: Problem, original: Shown, generated: Image, fitted: Image | None, grown: Mask
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
        reads = Reads(regions=blend.target(problem))
        now = Shown(models=problem.models, reads=reads, image=generated.detach(), range=problem.range)
        masks = [
            part.mask(
                _region(original, part.preserve),
                _region(now if part.target_from == "generated" else original, part.target(problem)),
            )
            for part in blend.parts
        ]
        preserved = _region(original, blend.preserve)
        shown = {
            "preserve": relax_preserved(preserved, grown),
            "target": _region(original, blend.target(problem)),
            "blend": torch.stack(masks).amax(dim=0),
        }
    patches = tuple(
        part.patch(generated, fitted, original.image, mask) for part, mask in zip(blend.parts, masks, strict=True)
    )
    image = original.image
    for patch in patches:
        image = patch.onto(image)
    return Composition(image, shown, patches)


def _region(shown: Shown, names: tuple[str, ...]) -> Mask:
    return shown.region(*names) if names else torch.zeros_like(shown.image[:, :1])
