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


def blend_redraw(
    edited: Image, fitted: Image, original: Float[Tensor, "b 3 H W"], mask: Mask, *, tolerance: float | int = 0.06
) -> Float[Tensor, "b 3 H W"]:
    """Add the detail of what the edit changed, and take the photo's away where the edit drew another structure.

    A mouth that closes does not leave the teeth: under :func:`blend_change` they stay as a ghost. And a
    shape is no reason for another complexion, so broad colours stay the photo's. Not in the paper.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        original: ``[b, 3, H, W]``, no smaller.
        mask: ``[b, 1, h, w]`` in [0, 1].
        tolerance: see :func:`redrawn`.
    """
    small = original
    if original.shape[-2:] != edited.shape[-2:]:
        small = F.interpolate(original, size=edited.shape[-2:], mode="area")
    lost, support = redrawn(edited, fitted, tolerance=tolerance), mask
    same = mask * (1 - lost)
    change, bare = toned(edited, fitted, same) - fitted, toned(fitted, small, same)
    if small is not original:
        change, bare, lost, support = (_resize(x, original) for x in (change, bare, lost, mask))
    return torch.where(support > 0, original + support * (change - lost * (original - bare)), original)


def blend_tint(
    edited: Image, fitted: Image, original: Float[Tensor, "b 3 H W"], mask: Mask
) -> Float[Tensor, "b 3 H W"]:
    """Add the broad colour of what the edit changed, and none of its detail: for hair of another colour.

    A small generator colours hair in patches; hair is dyed evenly. Not in the paper.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        original: ``[b, 3, H, W]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
    """
    return blend_change(tinted(edited, fitted, mask), fitted, original, mask)


def tinted(edited: Image, fitted: Image, mask: Mask) -> Image:
    """The fitted picture with the change averaged within the mask, over a quarter of the side ``[b, 3, h, w]``."""
    return fitted + _broad(edited - fitted, mask, 1 / 4)


def redrawn(edited: Image, fitted: Image, *, tolerance: float | int = 0.06) -> Mask:
    """How far the edit drew another structure: 0 where it changed colours alone, 1 where edges moved ``[b, 1, h, w]``.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        tolerance: how large a change of detail counts, in parts of the range of colours.
    """
    change = edited - fitted
    energy = (change - _lowpass(change)).square().mean(1, keepdim=True)
    return 1 - torch.exp(-_lowpass(energy, 1 / 64) / tolerance**2)


def toned(picture: Image, original: Image, same: Mask) -> Image:
    """The picture in the original's broad colours, compared where both show the ``same`` ``[b, 3, h, w]``."""
    return picture + _broad(original - picture, same, 1 / 8)


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
        kind: ``"paste"`` (Eq. 12), ``"pyramid"`` (:func:`blend_pyramid`), ``"change"``
            (:func:`blend_change`), ``"redraw"`` (:func:`blend_redraw`) or ``"tint"`` (:func:`blend_tint`).
        preserve: the preserved regions that belong to the mask.
        target_from: take the target's mask from the input (``"original"``), or from the generated picture
            (``"generated"``), for edits of hair shape.
        softness: how far the mask's edge is softened inwards, in pixels of the generator.
        since: for the last three: the stage at whose end the picture counts as fitted; None is the start.

    Raises:
        InputError: on an unknown kind or source, or a negative softness.
    """

    kind: Literal["paste", "pyramid", "change", "redraw", "tint"] = "paste"
    preserve: tuple[str, ...] = ("skin",)
    target_from: Literal["original", "generated"] = "original"
    softness: int = 0
    since: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "preserve", tuple(self.preserve))
        if self.kind not in ("paste", "pyramid", "change", "redraw", "tint"):
            raise InputError(
                "unknown blend", expected="'paste', 'pyramid', 'change', 'redraw' or 'tint'", actual=repr(self.kind)
            )
        if self.target_from not in ("original", "generated"):
            raise InputError(
                "unknown source of the mask", expected="'original' or 'generated'", actual=repr(self.target_from)
            )
        if not isinstance(self.softness, int) or self.softness < 0:
            raise InputError("softness is not a width", expected="0 or more whole pixels", actual=str(self.softness))
        if self.since is not None and not self.needs_fitted:
            raise InputError("only the change has a beginning", expected="since=None", actual=repr(self.since))

    @property
    def needs_fitted(self) -> bool:
        """Whether the picture before the edit takes part."""
        return self.kind in ("change", "redraw", "tint")

    def mask(self, preserved: Mask, target: Mask) -> Mask:
        """The blending mask ``[b, 1, h, w]`` from those of the two regions."""
        return feather((preserved + target).clamp(0, 1), self.softness)

    def __call__(
        self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask
    ) -> Float[Tensor, "b 3 H W"]:
        """The blended picture, of the original's size: only kinds that add a change take a larger one."""
        if self.needs_fitted:
            assert fitted is not None  # the loop keeps it for these kinds
            how = {"change": blend_change, "redraw": blend_redraw, "tint": blend_tint}[self.kind]
            return how(generated, fitted, original, mask)
        return (blend_pyramid if self.kind == "pyramid" else blend)(generated, original, mask)

    def __str__(self) -> str:
        source = "of the generated picture" if self.target_from == "generated" else "of the input"
        parts = [f"{self.kind}, preserving {' + '.join(self.preserve) or 'nothing'}, target {source}"]
        parts += [f"softened by {self.softness} px"] if self.softness else []
        parts += [f"the change since {self.since or 'the start'}"] if self.needs_fitted else []
        return "blend (" + ", ".join(parts) + ")"


def _broad(picture: Image, mask: Mask, share: float) -> Image:
    """The picture averaged within the mask, over that share of the side."""
    return _lowpass(mask * picture, share) / (_lowpass(mask, share) + 1e-3)


def _lowpass(picture: Tensor, share: float = 1 / 32) -> Tensor:
    """The picture blurred by a Gaussian of that share of its side."""
    from kornia.filters import gaussian_blur2d

    sigma = share * picture.shape[-1]
    width = min(2 * round(3 * sigma) + 1, 2 * (picture.shape[-1] // 2) - 1, 2 * (picture.shape[-2] // 2) - 1)
    return gaussian_blur2d(picture, (width, width), (sigma, sigma))


def _resize(picture: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(picture, size=like.shape[-2:], mode="bilinear", align_corners=False)
