"""Keep what a network sees inside a mask: the paper's global edits."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.losses._checks import check_masks, full
from maskedit.types import Image, Mask, PerSample


def masked_perceptual(
    generated: Sequence[Float[Tensor, "b _ _ _"]],
    original: Sequence[Float[Tensor, "b _ _ _"]],
    mask: Mask,
    *,
    weights: Sequence[float | int] | None = None,
) -> PerSample:
    """Perceptual distance inside a mask, from the features of any network (global edits of the paper).

    Per layer, features are scaled to unit length over channels, as LPIPS does; their squared distance is
    averaged over the pixels of the mask, resized to the layer. Unlike LPIPS no learned channel weights
    are used, so no weights of anybody's are needed.

    Args:
        generated: one feature map per layer ``[b, c_i, h_i, w_i]``.
        original: the same layers of the original.
        mask: ``[b, 1, h, w]``, any size: resized to each layer by area.
        weights: one factor per layer; 1 by default.

    Returns:
        ``[b]``: the weighted sum over layers, each in [0, 4].

    Raises:
        InputError: if the layers do not match.
    """
    check_masks(like=None, mask=mask)
    if [f.shape for f in generated] != [f.shape for f in original] or not generated:
        raise InputError(
            "the features of the two images do not match",
            expected="the same layers of the same sizes, at least one",
            actual=f"{[tuple(f.shape) for f in generated]} and {[tuple(f.shape) for f in original]}",
        )
    factors = [1.0] * len(generated) if weights is None else list(weights)
    if len(factors) != len(generated):
        raise InputError("one weight per layer", expected=str(len(generated)), actual=str(len(factors)))
    total = torch.zeros((), device=mask.device)
    for ours, theirs, factor in zip(generated, original, factors, strict=True):
        area = F.interpolate(full(mask), size=ours.shape[-2:], mode="area")
        distance = (F.normalize(full(ours), dim=1) - F.normalize(full(theirs), dim=1)).square().sum(1, keepdim=True)
        inside = area.sum(dim=(1, 2, 3)).clamp_min(torch.finfo(area.dtype).eps)
        total = total + factor * (area * distance).sum(dim=(1, 2, 3)) / inside
    return total


class MaskedPerceptual(nn.Module):
    """Keep what a network sees inside a mask (global edits): :func:`~maskedit.functional.masked_perceptual`.

    Args:
        features: maps an image ``[b, 3, h, w]`` in [0, 1] to feature maps ``[b, c_i, h_i, w_i]``.
        weights: one factor per layer; 1 by default.

    Example:
        >>> import torch
        >>> image, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
        >>> MaskedPerceptual(features=lambda image: [image])(image, image, mask)
        tensor([0.])
    """

    def __init__(
        self,
        *,
        features: Callable[[Image], Sequence[Float[Tensor, "b _ _ _"]]],
        weights: Sequence[float | int] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.weights = None if weights is None else tuple(weights)

    def forward(self, generated: Image, original: Image, mask: Mask) -> PerSample:
        """The distance of the two pictures' features inside the mask.

        Args:
            generated: the picture that is drawn ``[b, 3, h, w]``.
            original: the picture to keep ``[b, 3, h, w]``.
            mask: where to keep it ``[b, 1, h, w]``, in [0, 1].

        Returns:
            ``[b]``: the weighted sum over layers, each in [0, 4].
        """
        with torch.no_grad():
            kept = self.features(original)
        return masked_perceptual(self.features(generated), kept, mask, weights=self.weights)
