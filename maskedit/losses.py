"""The formulas as modules: tensors in, one value per image out, no models and no state.

Each is the function of the same name in :mod:`maskedit.functional`, which documents formula, shapes and
errors. They can be used alone, in anybody's loop:

>>> import torch
>>> from maskedit.losses import MaskedMSE
>>> image, mask = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
>>> MaskedMSE()(image, image, mask)
tensor([0., 0.])
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit import functional
from maskedit.errors import InputError
from maskedit.protocols import LatentDistribution
from maskedit.types import Image, Latent, Logits, Mask, NoiseMaps, PerSample

_Choice = TypeVar("_Choice")


class MaskedMSE(nn.Module):
    """Keep the picture inside a mask: Eq. 2, :func:`~maskedit.functional.masked_mse`.

    Args:
        normalize: ``"image"`` (as released) or ``"mask"``.

    Shape:
        generated, original ``[b, 3, h, w]``; mask ``[b, 1, h, w]``; returns ``[b]``.
    """

    def __init__(self, *, normalize: Literal["image", "mask"] = "image") -> None:
        super().__init__()
        self.normalize = _one_of(normalize, "image", "mask")

    def forward(self, generated: Image, original: Image, mask: Mask) -> PerSample:
        return functional.masked_mse(generated, original, mask, normalize=self.normalize)

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}"


class RelaxedMaskedMSE(nn.Module):
    """Keep the picture, except where the target grew: Eq. 7, :func:`~maskedit.functional.relaxed_masked_mse`.

    Args:
        normalize: ``"image"`` (as released) or ``"mask"``.
        through_mask: let gradient through the mask.

    Shape:
        generated, original ``[b, 3, h, w]``; preserve, target ``[b, 1, h, w]``; returns ``[b]``.
    """

    def __init__(self, *, normalize: Literal["image", "mask"] = "image", through_mask: bool = False) -> None:
        super().__init__()
        self.normalize = _one_of(normalize, "image", "mask")
        self.through_mask = through_mask

    def forward(self, generated: Image, original: Image, preserve: Mask, target: Mask) -> PerSample:
        return functional.relaxed_masked_mse(
            generated, original, preserve, target, normalize=self.normalize, through_mask=self.through_mask
        )

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}, through_mask={self.through_mask}"


class SemanticKL(nn.Module):
    """Show the wanted attributes: Eq. 3, :func:`~maskedit.functional.semantic_kl`.

    Args:
        smoothing: the paper's epsilon, in [0, 0.5]: one for all attributes, or one for each.

    Shape:
        logits, labels ``[b, attributes]``; returns ``[b]``.

    Raises:
        InputError: if a smoothing is outside [0, 0.5].
    """

    smoothing: Tensor

    def __init__(self, *, smoothing: float | int | Sequence[float | int] = 0.05) -> None:
        super().__init__()
        values = torch.as_tensor(smoothing, dtype=torch.float32)
        if values.ndim > 1 or not bool(((values >= 0) & (values <= 0.5)).all()):
            raise InputError("smoothing is out of range", expected="values in [0, 0.5]", actual=str(smoothing))
        self._shown = smoothing if isinstance(smoothing, float | int) else list(smoothing)
        self.register_buffer("smoothing", values, persistent=False)

    def forward(self, logits: Logits, labels: Logits) -> PerSample:
        smoothing = self._shown if isinstance(self._shown, float | int) else self.smoothing
        return functional.semantic_kl(logits, labels, smoothing=smoothing)

    def extra_repr(self) -> str:
        return f"smoothing={self._shown}"


class ShapeLoss(nn.Module):
    """Keep a region's shape: Eq. 4, :func:`~maskedit.functional.shape_loss`.

    Shape:
        generated, original ``[b, 1, h, w]``; returns ``[b]``.
    """

    def forward(self, generated: Mask, original: Mask) -> PerSample:
        return functional.shape_loss(generated, original)


class RelaxedShapeLoss(nn.Module):
    """Keep a region covered and let it grow: Eq. 8, :func:`~maskedit.functional.relaxed_shape_loss`.

    Args:
        through_mask: let gradient through the grown mask.

    Shape:
        generated, original ``[b, 1, h, w]``; returns ``[b]``.
    """

    def __init__(self, *, through_mask: bool = False) -> None:
        super().__init__()
        self.through_mask = through_mask

    def forward(self, generated: Mask, original: Mask) -> PerSample:
        return functional.relaxed_shape_loss(generated, original, through_mask=self.through_mask)

    def extra_repr(self) -> str:
        return f"through_mask={self.through_mask}"


class ComponentSizeKL(nn.Module):
    """Scale a region's share of the picture: Eq. 5-6, :func:`~maskedit.functional.component_size_kl`.

    Args:
        scale: the paper's alpha, positive: 1 keeps the size.

    Shape:
        generated, original ``[b, 1, h, w]``; returns ``[b]``.

    Raises:
        InputError: if the scale is not positive.
    """

    def __init__(self, *, scale: float | int = 1.5) -> None:
        super().__init__()
        if not scale > 0:
            raise InputError("the scale of a region must be positive", expected="scale > 0", actual=str(scale))
        self.scale = scale

    def forward(self, generated: Mask, original: Mask) -> PerSample:
        return functional.component_size_kl(generated, original, scale=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class NoiseAutocorrelation(nn.Module):
    """Keep noise maps white: Eq. 11, :func:`~maskedit.functional.noise_autocorrelation`.

    Shape:
        noises: maps ``[b, 1, side_i, side_i]``; returns ``[b]``.
    """

    def forward(self, noises: NoiseMaps) -> PerSample:
        return functional.noise_autocorrelation(noises)


class MaskedPerceptual(nn.Module):
    """Keep what a network sees inside a mask (global edits): :func:`~maskedit.functional.masked_perceptual`.

    Args:
        features: maps an image ``[b, 3, h, w]`` in [0, 1] to feature maps ``[b, c_i, h_i, w_i]``.
        weights: one factor per layer; 1 by default.

    Shape:
        generated, original ``[b, 3, h, w]``; mask ``[b, 1, h, w]``; returns ``[b]``.
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
        with torch.no_grad():
            kept = self.features(original)
        return functional.masked_perceptual(self.features(generated), kept, mask, weights=self.weights)


class LatentPrior(nn.Module):
    """Keep a latent plausible: :func:`~maskedit.functional.latent_prior`.

    Shape:
        latent ``[b, layers, dim]`` and the distribution; returns ``[b]``.
    """

    def forward(self, latent: Latent, latents: LatentDistribution) -> PerSample:
        return functional.latent_prior(latent, latents)


def _one_of(value: _Choice, *allowed: str) -> _Choice:
    if value not in allowed:
        raise InputError("unknown choice", expected=" or ".join(map(repr, allowed)), actual=repr(value))
    return value
