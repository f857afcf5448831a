"""The paper's constraints as terms, by the names of regions and attributes. Weights are put in front.

>>> 2.0 * preserve("skin") + 0.005 * attribute("smiling")
Objective(
  (preserve): 2 x MaskedMSE(normalize='image') of skin
  (smiling): 0.005 x SemanticKL(smoothing=0.05) of smiling = 1
)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.functional import identity_distance, masked_perceptual, relax_preserved, relax_target
from maskedit.losses import (
    ComponentSizeKL,
    LatentPrior,
    MaskedMSE,
    NoiseAutocorrelation,
    SemanticKL,
    ShapeLoss,
)
from maskedit.protocols import LatentDistribution
from maskedit.terms.objective import Term
from maskedit.terms.view import View
from maskedit.types import Image, Latent, Logits, Mask, NoiseMaps


def preserve(*regions: str, normalize: Literal["image", "mask"] = "image") -> Term:
    """Keep the picture in these regions: Eq. 2; Eq. 7 once :class:`~maskedit.schedule.GrowTarget` has run.

    Args:
        regions: what to keep, such as ``"skin"``.
        normalize: as in :func:`~maskedit.functional.masked_mse`.
    """
    _some(regions, "preserve")
    return Term(
        "preserve",
        MaskedMSE(normalize=normalize),
        reads=partial(_kept, regions),
        regions=regions,
    )


def perceptual(
    *regions: str,
    features: Callable[[Image], Sequence[Float[Tensor, "b _ _ _"]]] | None = None,
    distance: nn.Module | None = None,
) -> Term:
    """Keep what a network sees in these regions: the paper's global edits. Features of the input are asked once a run.

    Args:
        regions: what to keep; the paper uses the whole face.
        features: maps an image to feature maps, one per layer, for a :class:`~maskedit.losses.MaskedPerceptual`.
        distance: in its place: takes generated and original pictures and a mask, returns ``[b]``, such as
            :class:`~maskedit.models.LPIPS`, which the released program uses.

    Raises:
        InputError: if there are not either features or a distance.
    """
    _some(regions, "perceptual")
    if features is not None and distance is None:
        return Term("perceptual", masked_perceptual, reads=partial(_features, regions, features), regions=regions)
    if distance is not None and features is None:
        return Term("perceptual", distance, reads=partial(_seen_alike, regions), regions=regions)
    raise InputError(
        "perceptual() needs something that looks",
        expected="features or distance",
        actual="neither" if features is None else "both",
    )


def identity(*, embed: Callable[[Image], Float[Tensor, "b dim"]]) -> Term:
    """Keep who is seen. Not in the paper.

    Args:
        embed: maps an image to features ``[b, dim]``: a :class:`~maskedit.models.FaceIdentity`, or any network of
            faces. It is asked of the input once a run.
    """
    return Term("identity", identity_distance, reads=partial(_embedded, embed))


def attribute(
    names: str | Sequence[str],
    *,
    target: float | int | Sequence[float | int] = 1.0,
    smoothing: float | int | Sequence[float | int] = 0.05,
    hold: Sequence[str] = (),
    seen_in: Literal["generated", "blended"] = "generated",
) -> Term:
    """Show these attributes: Eq. 3, one term, the mean over all of them.

    Args:
        names: one attribute or several.
        target: 1 sets, 0 removes, anything between is a strength; one for all or one each.
        smoothing: the paper's epsilon in [0, 0.5]; one for all or one each.
        hold: attributes to keep at the classifier's own prediction for the input, unsmoothed, such as the
            hair's colours while its shape changes (Fig. 9).
        seen_in: which picture the classifier sees: the generated one (the paper), or that picture as the schedule's
            blend would leave it, so that what the blend takes away is made up for. The second is not in the paper.

    Raises:
        InputError: if a target or smoothing is out of range, or their number does not fit the names.
    """
    wanted = (names,) if isinstance(names, str) else tuple(names)
    held = tuple(hold)
    _some(wanted, "attribute")
    targets = _one_each(target, wanted, "target")
    if not all(0 <= t <= 1 for t in targets):
        raise InputError("an attribute's target is out of range", expected="values in [0, 1]", actual=str(target))
    if repeated := [name for name in held if name in wanted]:
        raise InputError(f"{repeated[0]!r} is both edited and held", expected="one or the other")

    each = [*_one_each(smoothing, wanted, "smoothing"), *(0.0 for _ in held)]
    about = [f"{name} = {value:g}" for name, value in zip(wanted, targets, strict=True)]
    about += [f"{name} held" for name in held]
    about += ["after the blend"] if seen_in == "blended" else []
    return Term(
        "+".join(wanted),
        SemanticKL(smoothing=each[0] if len(set(each)) == 1 else each),
        reads=partial(_predictions, wanted, held, tuple(targets), seen_in),
        attributes=wanted + held,
        needs=["blend"] if seen_in == "blended" else [],
        changes=wanted,
        about=", ".join(about),
    )


def shape(*regions: str, grow: bool = False) -> Term:
    """Keep the regions' shape (Eq. 4), at the parser's own size.

    Args:
        regions: the regions, taken together, such as ``"hair"``.
        grow: ask only that they stay covered, and let them grow (Eq. 8), with what
            :class:`~maskedit.schedule.GrowTarget` last saw, as the released program does.
    """
    _some(regions, "shape")

    about = " + ".join(regions) + (", which may grow" if grow else "")
    return Term(
        f"{'_'.join(regions)}_shape", ShapeLoss(), reads=partial(_shapes, regions, grow), regions=regions, about=about
    )


def region_size(*regions: str, scale: float | int) -> Term:
    """Scale the regions' share of the picture (Eq. 5-6).

    Args:
        regions: the regions, taken together, such as ``"mouth"``.
        scale: the paper's alpha: 1.5 asks for half as much again.
    """
    _some(regions, "region_size")
    return Term(
        f"{'_'.join(regions)}_size",
        ComponentSizeKL(scale=scale),
        reads=partial(_regions, regions),
        regions=regions,
        changes=regions,
    )


def white_noise() -> Term:
    """Keep the noise maps white (Eq. 11)."""
    return Term("white_noise", NoiseAutocorrelation(), reads=_noises, needs=["noise"])


def latent_prior() -> Term:
    """Keep the latent where those of real pictures lie; needs ``Models.latents``. Not in the paper."""
    return Term("latent_prior", LatentPrior(), reads=_latents, needs=["latents"])


# What the terms look at: functions of a module, so that schedules can be pickled.


def _kept(regions: tuple[str, ...], view: View) -> tuple[Image, Image, Mask]:
    return view.image, view.original.image, relax_preserved(view.original.region(*regions), view.grown)


def _seen_alike(regions: tuple[str, ...], view: View) -> tuple[Image, Image, Mask]:
    return view.image, view.original.image, view.original.region(*regions)


def _embedded(network: Callable[[Image], Any], view: View) -> tuple[Any, Any]:
    return view.features(network), view.original.features(network)


def _features(regions: tuple[str, ...], network: Callable[[Image], Any], view: View) -> tuple[Any, Any, Mask]:
    return view.features(network), view.original.features(network), view.original.region(*regions)


def _predictions(
    wanted: tuple[str, ...], held: tuple[str, ...], targets: tuple[float, ...], seen_in: str, view: View
) -> tuple[Logits, Logits]:
    shown = view if seen_in == "generated" else view.blended
    logits = shown.logits(*wanted, *held)
    labels = logits.new_tensor(targets).expand(len(logits), -1)
    if held:
        labels = torch.cat([labels, view.original.logits(*held).sigmoid()], dim=1)
    return logits, labels


def _shapes(regions: tuple[str, ...], grow: bool, view: View) -> tuple[Mask, Mask]:
    seen, wanted = view.native_region(*regions), view.original.native_region(*regions)
    if grow:
        grown = torch.nn.functional.interpolate(view.grown, size=wanted.shape[-2:], mode="area")
        wanted = relax_target(wanted, grown)
    return seen, wanted


def _regions(regions: tuple[str, ...], view: View) -> tuple[Mask, Mask]:
    return view.region(*regions), view.original.region(*regions)


def _noises(view: View) -> tuple[NoiseMaps]:
    return (view.noises,)


def _latents(view: View) -> tuple[Latent, LatentDistribution]:
    return view.latent, view.latents


def _some(names: Sequence[str], what: str) -> None:
    if not names:
        raise InputError(f"{what}() names nothing", expected="at least one name")


def _one_each(value: float | int | Sequence[float | int], names: Sequence[str], what: str) -> list[float]:
    values = [float(value)] * len(names) if isinstance(value, float | int) else [float(v) for v in value]
    if len(values) != len(names):
        raise InputError(f"one {what} for each attribute", expected=str(len(names)), actual=str(len(values)))
    return values
