"""The formulas of the paper as pure functions: tensors in, one value per image out.

Pictures are ``[b, 3, h, w]``, region probabilities ``[b, 1, h, w]`` in [0, 1]. Half-precision inputs are
computed in float32; float64 stays float64. Shapes and dtypes that would broadcast into a silently wrong
number are refused; values are not looked at, so every function works under ``torch.compile``,
``torch.func.vmap`` and autocast. Where paper and released program differ, docs/deviations.md says which
is followed, and so does the function.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.protocols import LatentDistribution
from maskedit.types import Image, Latent, Logits, Mask, NoiseMap, NoiseMaps, PerSample

PORTION_MARGIN = 1e-6
"""Region portions stay this far from 0 and 1, where the divergence of Eq. 6 is infinite."""


def masked_mse(
    generated: Image, original: Image, mask: Mask, *, normalize: Literal["image", "mask"] = "image"
) -> PerSample:
    """Squared difference of two images inside a mask (Eq. 2).

    .. math:: L_M = \\frac{1}{c\\,m\\,n} \\sum S \\odot (I_G - I)^2

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        mask: ``[b, 1, h, w]``, weights in [0, 1].
        normalize: ``"image"`` divides by all pixels and channels, as the released program does;
            ``"mask"`` divides by the mask's own area, so that small masks weigh the same as large ones.

    Returns:
        ``[b]``, zero for an empty mask.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    _check_pictures(generated=generated, original=original)
    _check_masks(like=generated, mask=mask)
    weight = _full(mask)
    error = (weight * (_full(generated) - _full(original)).square()).mean(dim=(1, 2, 3))
    if normalize == "image":
        return error
    if normalize == "mask":
        return error / weight.mean(dim=(1, 2, 3)).clamp_min(torch.finfo(weight.dtype).tiny)
    raise InputError("unknown normalisation", expected="'image' or 'mask'", actual=repr(normalize))


def relax_preserved(preserve: Mask, target: Mask) -> Mask:
    """The preserved region less what the target now covers: ``clamp(preserve - target, 0, 1)``.

    The mask of Eq. 7, where the printed ``min(., 0)`` is a misprint (it would never be positive).

    Args:
        preserve: the region to keep, in the original ``[b, 1, h, w]``.
        target: the target region, in the generated image ``[b, 1, h, w]``.
    """
    _check_masks(like=preserve, preserve=preserve, target=target)
    return (_full(preserve) - _full(target)).clamp(0, 1)


def relax_target(original: Mask, generated: Mask) -> Mask:
    """The target region, grown by what it now covers: ``clamp(original + generated, 0, 1)``.

    The mask of Eq. 8, where the printed ``max(., 1)`` is a misprint. It always covers the original.

    Args:
        original: the target region in the original ``[b, 1, h, w]``.
        generated: the target region in the generated image ``[b, 1, h, w]``.
    """
    _check_masks(like=original, original=original, generated=generated)
    return (_full(original) + _full(generated)).clamp(0, 1)


def relaxed_masked_mse(
    generated: Image,
    original: Image,
    preserve: Mask,
    target: Mask,
    *,
    normalize: Literal["image", "mask"] = "image",
    through_mask: bool = False,
) -> PerSample:
    """:func:`masked_mse` where the target has not grown over the preserved region (Eq. 7).

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        preserve: the region to keep, in the original ``[b, 1, h, w]``.
        target: the target region, in the generated image ``[b, 1, h, w]``.
        normalize: as in :func:`masked_mse`.
        through_mask: let gradient through the mask to ``target``; the released program does not.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    mask = relax_preserved(preserve, target)
    return masked_mse(generated, original, mask if through_mask else mask.detach(), normalize=normalize)


def semantic_kl(
    logits: Logits, labels: Logits, *, smoothing: float | int | Float[Tensor, " attributes"] = 0.05
) -> PerSample:
    """Divergence of the classifier's predictions from the wanted attributes (Eq. 3).

    The mean over attributes of ``KL(Bernoulli(y) || Bernoulli(sigmoid(logit)))`` with
    ``y = label (1 - 2 smoothing) + smoothing``. Computed from the logits as
    ``softplus(logit) - y logit`` less the entropy of ``y``: finite with the right gradient at any logit,
    where the released program's log of a sigmoid is infinite.

    Args:
        logits: ``[b, attributes]``.
        labels: ``[b, attributes]``: 1 present, 0 absent, or anything between.
        smoothing: the paper's epsilon in [0, 0.5], one for all or one per attribute.

    Returns:
        ``[b]``, zero where every prediction equals its smoothed label.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    _check_floating(logits=logits, labels=labels)
    if logits.ndim != 2 or labels.shape != logits.shape:
        raise InputError(
            "logits and labels do not match",
            expected="both [b, attributes]",
            actual=f"logits {_shape(logits)}, labels {_shape(labels)}",
            hint="Give every image its own row of labels: labels.expand_as(logits).",
        )
    logits, labels = _full(logits), _full(labels)
    if isinstance(smoothing, Tensor):
        smoothing = smoothing.to(labels)
    wanted = labels * (1 - 2 * smoothing) + smoothing
    cross_entropy = F.softplus(logits) - wanted * logits
    return (cross_entropy + torch.xlogy(wanted, wanted) + torch.xlogy(1 - wanted, 1 - wanted)).mean(dim=1)


def shape_loss(generated: Mask, original: Mask) -> PerSample:
    """Mean squared difference of two region masks (Eq. 4, as released: a mean, not a norm).

    Args:
        generated: the region in the generated image ``[b, 1, h, w]``.
        original: the region that it should have ``[b, 1, h, w]``.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    _check_masks(like=original, generated=generated, original=original)
    return (_full(generated) - _full(original)).square().mean(dim=(1, 2, 3))


def relaxed_shape_loss(generated: Mask, original: Mask, *, through_mask: bool = False) -> PerSample:
    """:func:`shape_loss` against the original region grown by the generated one (Eq. 8).

    It asks that the original region stays covered, and lets the region grow.

    Args:
        generated: the region in the generated image ``[b, 1, h, w]``.
        original: the region in the original ``[b, 1, h, w]``.
        through_mask: let gradient through the grown mask too; the released program does not.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    grown = relax_target(original, generated)
    return shape_loss(generated, grown if through_mask else grown.detach())


def component_size_kl(generated: Mask, original: Mask, *, scale: float | int = 1.5) -> PerSample:
    """Divergence of a region's share of the picture from ``scale`` times its share before (Eq. 5-6).

    ``KL(Bernoulli(scale s(I)) || Bernoulli(s(I_G)))`` with ``s`` the mean of the mask. Both portions are
    clamped to ``[1e-6, 1 - 1e-6]``, where the released program clamps neither.

    Args:
        generated: the region in the generated image ``[b, 1, h, w]``.
        original: the region in the original ``[b, 1, h, w]``; may have another size in pixels.
        scale: the paper's alpha: 1 keeps the size, 1.5 asks for half as much again.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that are not masks of one batch, or dtypes that are not floating.
    """
    _check_masks(like=None, generated=generated, original=original)
    margin = PORTION_MARGIN
    share = _full(generated).mean(dim=(1, 2, 3)).clamp(margin, 1 - margin)
    wanted = (scale * _full(original).mean(dim=(1, 2, 3))).clamp(margin, 1 - margin)
    return wanted * (wanted / share).log() + (1 - wanted) * ((1 - wanted) / (1 - share)).log()


def noise_autocorrelation(noises: NoiseMaps) -> PerSample:
    """How far noise maps are from white: their correlation with themselves one pixel on (Eq. 11).

    Summed over maps and over the levels of each map's pyramid (halved by 2 x 2 means while larger than
    8 px): ``mean(n * shift_x(n))^2 + mean(n * shift_y(n))^2``, wrapped around. The squares are missing in
    the printed equation.

    Args:
        noises: maps ``[b, 1, h_i, h_i]``, square, each side halving to 8 px or less without a remainder.

    Returns:
        ``[b]``.

    Raises:
        InputError: on no maps, maps of different batches, or maps that are not square or do not halve.
    """
    if not noises:
        raise InputError("no noise maps", expected="at least one", hint="A generator without noise needs no such term.")
    total = torch.zeros((), device=noises[0].device)
    for position, noise in enumerate(noises):
        _check_noise(position, noise, batch=noises[0].shape[0])
        level = _full(noise)
        while True:
            for dim in (2, 3):
                total = total + (level * level.roll(1, dims=dim)).mean(dim=(1, 2, 3)).square()
            if level.shape[-1] <= 8:
                break
            level = F.avg_pool2d(level, 2)
    return total


def normalize_noise(noise: NoiseMap) -> NoiseMap:
    """Each image's map shifted and scaled to mean 0 and (unbiased) standard deviation 1.

    Args:
        noise: ``[b, 1, h, w]``, at least two pixels. A constant map becomes zeros.
    """
    _check_floating(noise=noise)
    centred = noise - noise.mean(dim=(1, 2, 3), keepdim=True)
    deviation = noise.std(dim=(1, 2, 3), keepdim=True)
    return centred / deviation.clamp_min(torch.finfo(noise.dtype).tiny)


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
    _check_masks(like=None, mask=mask)
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
        area = F.interpolate(_full(mask), size=ours.shape[-2:], mode="area")
        distance = (F.normalize(_full(ours), dim=1) - F.normalize(_full(theirs), dim=1)).square().sum(1, keepdim=True)
        inside = area.sum(dim=(1, 2, 3)).clamp_min(torch.finfo(area.dtype).eps)
        total = total + factor * (area * distance).sum(dim=(1, 2, 3)) / inside
    return total


def latent_prior(latent: Latent, latents: LatentDistribution) -> PerSample:
    """How unusual a latent is: the mean squared standard score of its coordinates.

    Along each principal component the score is in that component's deviation; what the components do not
    span is measured in the smallest of them. About 1 or less for latents of real pictures, 0 at the mean.
    Not in the paper: it keeps small generators from painting lumps that please the classifier.

    Args:
        latent: ``[b, layers, dim]``.
        latents: where plausible latents lie.

    Returns:
        ``[b]``.

    Raises:
        InputError: if the latent does not have the distribution's layers and dim.
    """
    _check_floating(latent=latent)
    if latent.ndim != 3 or latent.shape[1:] != latents.mean.shape:
        raise InputError(
            "the latent is not of this distribution",
            expected=f"[b, {latents.mean.shape[0]}, {latents.mean.shape[1]}]",
            actual=_shape(latent),
        )
    offset = (_full(latent) - latents.mean).flatten(1)
    scores = offset @ latents.components.mT
    spanned = (scores / latents.deviations).square().sum(dim=1)
    rest = (offset.square().sum(dim=1) - scores.square().sum(dim=1)).clamp_min(0)
    return (spanned + rest / latents.deviations[-1].square()) / offset.shape[1]


def _full(tensor: Tensor) -> Tensor:
    """Half precision becomes float32: a mean over a picture's pixels needs the digits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _check_floating(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(
                f"{name} is not a floating tensor",
                expected="float32, float64, bfloat16 or float16",
                actual=str(tensor.dtype),
                hint="Convert bytes with x.float() / 255, booleans with x.float().",
            )


def _check_pictures(**pictures: Tensor) -> None:
    _check_floating(**pictures)
    first = next(iter(pictures.values()))
    for name, picture in pictures.items():
        if picture.ndim != 4 or picture.shape[1] != 3 or picture.shape != first.shape:
            raise InputError(
                f"{name} is not a picture of the same size as the others",
                expected="[b, 3, h, w]" if name == next(iter(pictures)) else _shape(first),
                actual=_shape(picture),
                hint="A single picture needs a batch dimension: x[None]." if picture.ndim == 3 else "",
            )


def _check_masks(like: Tensor | None, **masks: Tensor) -> None:
    """Masks are [b, 1, h, w], one per image of ``like`` and of its size in pixels; of one batch anyway."""
    _check_floating(**masks)
    first = next(iter(masks.values())) if like is None else like
    for name, mask in masks.items():
        size = mask.shape[-2:] if like is None else like.shape[-2:]
        if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[0] != first.shape[0] or mask.shape[-2:] != size:
            expected = f"[{first.shape[0]}, 1, h, w]" if like is None else str([first.shape[0], 1, *size])
            raise InputError(
                f"{name} is not a mask that fits",
                expected=expected,
                actual=_shape(mask),
                hint="Add the channel: mask[:, None]." if mask.ndim == 3 else "",
            )


def _check_noise(position: int, noise: Tensor, batch: int) -> None:
    _check_floating(**{f"noise map {position}": noise})
    if noise.ndim != 4 or noise.shape[0] != batch or noise.shape[1] != 1 or noise.shape[2] != noise.shape[3]:
        raise InputError(
            f"noise map {position} cannot be used",
            expected=f"[{batch}, 1, side, side]",
            actual=_shape(noise),
            hint="The pyramid of Eq. 11 is defined for square maps.",
        )
    side = noise.shape[-1]
    while side > 8:
        if side % 2:
            raise InputError(
                f"noise map {position} cannot be halved down to 8 px",
                expected="a side such as 4, 8, 16, 32, ...",
                actual=f"{noise.shape[-1]}",
            )
        side //= 2
