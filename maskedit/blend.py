"""The last composition: the generated picture inside a mask, the original outside it (Eq. 12).

Every kind leaves the pixels where the mask is 0 exactly as they were. Nothing is clamped to [0, 1]; that is
for whoever writes the picture.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.types import Image, Mask


def blend(generated: Image, original: Image, mask: Mask) -> Image:
    """``mask * generated + (1 - mask) * original`` (Eq. 12).

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
    """
    return torch.where(mask > 0, mask * generated + (1 - mask) * original, original)


def blend_pyramid(generated: Image, original: Image, mask: Mask, *, levels: int = 4) -> Image:
    """Blend each octave of detail over a width of its own (Burt and Adelson's Laplacian pyramid).

    Broad colours mix widely and fine detail narrowly, so that no seam shows.

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
        levels: how many octaves; fewer where the picture is too small for them.
    """
    from kornia.geometry.transform import pyrdown

    ours, theirs, inner = generated, original, mask
    details: list[Tensor] = []
    while len(details) < levels and min(ours.shape[-2:]) >= 8:
        coarse_ours, coarse_theirs = pyrdown(ours), pyrdown(theirs)
        details.append(blend(ours - _resize(coarse_ours, ours), theirs - _resize(coarse_theirs, theirs), inner))
        ours, theirs, inner = coarse_ours, coarse_theirs, pyrdown(inner)
    blended = blend(ours, theirs, inner)
    for detail in reversed(details):
        blended = _resize(blended, detail) + detail
    # The octaves spread over the mask's edge; a narrow ramp hides where they are cut off.
    return blend(blended, original, feather(mask, 2))


def blend_change(
    edited: Image, fitted: Image, original: Float[Tensor, "b 3 H W"], mask: Mask
) -> Float[Tensor, "b 3 H W"]:
    """Add only what the edit changed: ``original + mask * (edited - fitted)``.

    Skin and hair keep the photo's own detail. The pictures and the mask may be smaller than the original;
    the change is then enlarged to it. Not in the paper, whose generator is as sharp as the photo.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        original: ``[b, 3, H, W]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
    """
    change = mask * (edited - fitted)
    support = mask
    if change.shape[-2:] != original.shape[-2:]:
        change, support = _resize(change, original), _resize(mask, original)
    return torch.where(support > 0, original + change, original)


def feather(mask: Mask, softness: int) -> Mask:
    """The mask with its edge softened inwards: nowhere larger than it was, so 0 stays 0.

    The mean of the mask eroded by 0, 1, ..., ``softness`` pixels: a straight ramp that thin regions keep
    their share of, where a blur would wash them out.

    Args:
        mask: ``[b, 1, h, w]`` in [0, 1].
        softness: width of the ramp, in pixels; 0 leaves the mask as it is.
    """
    total = eroded = mask
    for _ in range(softness):
        eroded = -F.max_pool2d(-eroded, 3, stride=1, padding=1)
        total = total + eroded
    return total / (softness + 1)


@dataclass(frozen=True)
class Blend:
    """How a schedule ends: what is taken from the generated picture, and how its edge is made.

    The mask is ``S_preserve(I) + S_target(I)`` (Eq. 12), from the input's own masks, unrelaxed.

    Args:
        kind: ``"paste"`` (Eq. 12), ``"pyramid"`` (:func:`blend_pyramid`) or ``"change"``
            (:func:`blend_change`).
        preserve: the preserved regions that belong to the mask.
        target_from: take the target's mask from the input (``"original"``), or from the generated picture
            (``"generated"``), for edits of hair shape.
        softness: how far the mask's edge is softened inwards, in pixels of the generator.
        since: for ``"change"``: the stage at whose end the picture counts as fitted; None is the start.

    Raises:
        InputError: on an unknown kind or source, or a negative softness.
    """

    kind: Literal["paste", "pyramid", "change"] = "paste"
    preserve: tuple[str, ...] = ("skin",)
    target_from: Literal["original", "generated"] = "original"
    softness: int = 0
    since: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "preserve", tuple(self.preserve))
        if self.kind not in ("paste", "pyramid", "change"):
            raise InputError("unknown blend", expected="'paste', 'pyramid' or 'change'", actual=repr(self.kind))
        if self.target_from not in ("original", "generated"):
            raise InputError(
                "unknown source of the mask", expected="'original' or 'generated'", actual=repr(self.target_from)
            )
        if not isinstance(self.softness, int) or self.softness < 0:
            raise InputError("softness is not a width", expected="0 or more whole pixels", actual=str(self.softness))
        if self.since is not None and self.kind != "change":
            raise InputError("only the change has a beginning", expected="since=None", actual=repr(self.since))

    def mask(self, preserved: Mask, target: Mask) -> Mask:
        """The blending mask ``[b, 1, h, w]`` from those of the two regions."""
        return feather((preserved + target).clamp(0, 1), self.softness)

    def __call__(self, generated: Image, fitted: Image | None, original: Image, mask: Mask) -> Image:
        """The blended picture ``[b, 3, h, w]``."""
        if self.kind == "change":
            assert fitted is not None  # the loop keeps it for this kind
            return blend_change(generated, fitted, original, mask)
        return (blend_pyramid if self.kind == "pyramid" else blend)(generated, original, mask)

    def __str__(self) -> str:
        source = "of the generated picture" if self.target_from == "generated" else "of the input"
        parts = [f"{self.kind}, preserving {' + '.join(self.preserve) or 'nothing'}, target {source}"]
        parts += [f"softened by {self.softness} px"] if self.softness else []
        parts += [f"the change since {self.since or 'the start'}"] if self.kind == "change" else []
        return "blend (" + ", ".join(parts) + ")"


def _resize(picture: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(picture, size=like.shape[-2:], mode="bilinear", align_corners=False)
