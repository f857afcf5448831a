"""The procedures of the paper and of its released program, shorter ones, and one for small generators, as Schedules.

Each is an ordinary schedule: print it to see all that it does, copy it to change it.

>>> schedule = paper("smiling")
>>> [stage.name for stage in schedule]
['fit', 'edit', 'settle', 'detail']
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from maskedit.attributes import HAIR_COLOURS, HAIR_SHAPES, target_regions
from maskedit.blending import Blend
from maskedit.schedule import GrowTarget, NormalizeNoise, RedrawNoise, Schedule, Stage, latent, noise, unchanged
from maskedit.terms import Objective, attribute, latent_prior, perceptual, preserve, region_size, shape, white_noise
from maskedit.types import Image


def paper(
    attributes: str | Sequence[str],
    *,
    target: float | int | Sequence[float | int] = 1.0,
    smoothing: float | int | Sequence[float | int] = 0.05,
    hold: Sequence[str] = (),
    size: Mapping[str, float | int] | None = None,
    steps: tuple[int, int, int, int] = (500, 200, 300, 500),
) -> Schedule:
    """A local edit as the paper describes it.

    Fit the latent to the preserved region (Eq. 2); add the other terms while the masks follow the target
    (Eq. 7-9), then with the masks as they are; freeze the latent and optimise the noise (Eq. 10). The
    noise is zero until then, and normalised after each of its steps.

    Args:
        attributes: one of Table I, or several at once.
        target: 1 sets, 0 removes, anything between is a strength; one for all or one each.
        smoothing: the paper's epsilon; one for all or one each.
        hold: attributes to keep at the classifier's prediction for the input.
        size: region -> alpha, to scale components (Eq. 6).
        steps: of fit, edit, settle and detail.
    """
    names = _names(attributes)
    keep, edit, blend = _local(names, target, smoothing, hold, size)
    if any(name in HAIR_SHAPES for name in names):
        blend = replace(blend, target_from="generated")
    return Schedule(
        Stage("fit", steps[0], keep, vary=latent(lr=1e-3)),
        Stage("edit", steps[1], edit, vary=latent(lr=1e-3), after_step=[GrowTarget()]),
        Stage("settle", steps[2], edit, vary=unchanged()),
        Stage("detail", steps[3], keep + white_noise(), vary=noise(lr=0.1), after_step=[NormalizeNoise()]),
        blend=blend,
    )


def released(
    attributes: str | Sequence[str],
    *,
    target: float | int | Sequence[float | int] = 1.0,
    smoothing: float | int | Sequence[float | int] = 0.05,
    hold: Sequence[str] = (),
    size: Mapping[str, float | int] | None = None,
    steps: tuple[int, int, int, int] = (500, 200, 300, 501),
) -> Schedule:
    """A local edit as the authors' released program does it, step for step.

    It differs from :func:`paper`: the noise becomes random when the masks freeze; it is normalised between
    forward and backward; for hair shape the ears are preserved and part of the shape, and the blend's mask
    stays the input's. docs/deviations.md lists all.

    Args:
        attributes: one of Table I; the released program knows one at a time, several work alike.
        target: 1 sets, 0 removes.
        smoothing: the paper's epsilon.
        hold: attributes to keep at the classifier's prediction; not in the released program.
        size: region -> alpha.
        steps: of fit, edit, settle and detail.
    """
    names = _names(attributes)
    ears = ("ears",) if any(name in HAIR_SHAPES for name in names) else ()
    keep, edit, blend = _local(names, target, smoothing, hold, size, ears=ears)
    return Schedule(
        Stage("fit", steps[0], keep, vary=latent(lr=1e-3)),
        Stage("edit", steps[1], edit, vary=latent(lr=1e-3), after_step=[GrowTarget()]),
        Stage("settle", steps[2], edit, vary=unchanged(), on_enter=[RedrawNoise()]),
        Stage("detail", steps[3], keep + white_noise(), vary=noise(lr=0.1), before_backward=[NormalizeNoise()]),
        blend=blend,
    )


def global_edit(
    attributes: str | Sequence[str],
    *,
    features: Callable[[Image], Sequence[Float[Tensor, "b _ _ _"]]] | None = None,
    distance: nn.Module | None = None,
    face: Sequence[str] = ("skin", "mouth", "eyebrows", "eyes", "nose"),
    target: float | int | Sequence[float | int] = 1.0,
    smoothing: float | int | Sequence[float | int] = 0.05,
    hold: Sequence[str] = (),
    weight: float | int = 0.03,
    steps: tuple[int, int] = (500, 500),
) -> Schedule:
    """An edit of the whole face, such as age: a perceptual loss in place of the masked one (Section F).

    As released: the classifier from the first step, one Adam throughout. Begin at the encoder's code:
    ``Problem(..., target=face, start="encoder")``.

    Args:
        attributes: any of the classifier's.
        features: maps an image to feature maps; see :class:`~maskedit.losses.MaskedPerceptual`.
        distance: in its place: a distance inside a mask, such as the :class:`~maskedit.models.LPIPS` of the released
            program.
        face: the regions that make up the face.
        target: 1 sets, 0 removes, anything between is a strength.
        smoothing: the paper's epsilon.
        hold: attributes to keep at the classifier's prediction for the input.
        weight: of the classifier's term.
        steps: of edit and detail.
    """
    look = attribute(_names(attributes), target=target, smoothing=smoothing, hold=hold)
    keep = perceptual(*face, features=features, distance=distance)
    detail = 2.0 * preserve(*face) + white_noise()
    return Schedule(
        Stage("edit", steps[0], keep + weight * look, vary=latent(lr=1e-3)),
        Stage("detail", steps[1], detail, vary=noise(lr=0.1), after_step=[NormalizeNoise()]),
        blend=Blend(preserve=()),
    )


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


def fast(
    attributes: str | Sequence[str],
    *,
    target: float | int | Sequence[float | int] = 1.0,
    smoothing: float | int | Sequence[float | int] = 0.05,
    hold: Sequence[str] = (),
    size: Mapping[str, float | int] | None = None,
    rate: float | int = 0.02,
    steps: tuple[int, int, int, int] = (60, 40, 60, 60),
) -> Schedule:
    """The objectives of :func:`paper` in a seventh of its steps: not in the paper.

    Long steps that shorten, from a latent that is near already: begin at the encoder's code,
    ``Problem(..., start="encoder")``. How near it comes to the paper's objective: docs/performance.md.

    Args:
        attributes: one of Table I, or several at once.
        target: 1 sets, 0 removes, anything between is a strength; one for all or one each.
        smoothing: the paper's epsilon; one for all or one each.
        hold: attributes to keep at the classifier's prediction for the input.
        size: region -> alpha, to scale components (Eq. 6).
        rate: the latent's first learning rate in each stage; where w is wider spread, a higher one may do.
        steps: of fit, edit, settle and detail.
    """
    schedule = paper(attributes, target=target, smoothing=smoothing, hold=hold, size=size, steps=steps)
    fit, edit, settle, detail = schedule
    return Schedule(
        replace(fit, vary=latent(lr=Falling(rate, steps[0]))),
        replace(edit, vary=latent(lr=rate)),
        replace(settle, vary=latent(lr=Falling(rate, steps[2]))),
        replace(detail, vary=noise(lr=Falling(0.2, steps[3]))),
        blend=schedule.blend,
    )


def balanced(
    attributes: str | Sequence[str],
    *,
    target: float | int | Sequence[float | int] = 1.0,
    smoothing: float | int | Sequence[float | int] = 0.05,
    hold: Sequence[str] = (),
    size: Mapping[str, float | int] | None = None,
) -> Schedule:
    """:func:`fast` with twice the steps; arguments as there."""
    return fast(attributes, target=target, smoothing=smoothing, hold=hold, size=size, steps=(120, 80, 120, 120))


def plausible(
    attributes: str | Sequence[str],
    *,
    target: float | int | Sequence[float | int] = 1.0,
    smoothing: float | int | Sequence[float | int] | None = None,
    hold: Sequence[str] = (),
    size: Mapping[str, float | int] | None = None,
    face: Sequence[str] = ("skin", "mouth", "eyebrows", "eyes", "nose", "hair", "ears", "below_face"),
    components: int | None = None,
    steps: tuple[int, int] = (120, 200),
) -> Schedule:
    """A local edit for small generators, such as the bundled portraits: not in the paper.

    A small generator with free W+ pleases the classifier with lumps. Here the fit holds to latents of real
    faces, the edit moves along their principal components only (new smiles and arched brows along their
    own direction), and what is taken from it is the change that it made, so that the photo keeps its own
    detail. Begin at the encoder's code: ``Problem(..., start="encoder")``; needs ``Models.latents``.

    Args:
        attributes: one of Table I, or several at once.
        target: 1 sets, 0 removes, anything between is a strength; one for all or one each.
        smoothing: the paper's epsilon, here smaller, as the change loses some of its strength in the photo; None
            is 0.01, and 0.03 along a direction.
        hold: attributes to keep at the classifier's prediction for the input.
        size: region -> alpha, to scale components (Eq. 6).
        face: the regions that the fit is of; those that the edit may change are left free by it.
        components: how many principal components the edit moves along; None is 64, and 24 for mouth and
            nose, which more of them draw in lumps, and the attribute's own direction for new
            smiles and arched brows.
        steps: of fit and edit.
    """
    names = _names(attributes)
    changing = target_regions(names)
    prior = 0.002 * latent_prior()
    kept = [name for name in face if name not in changing]
    # What changes its shape changes the skin around it, and leaves no detail of the photo in place; colours do not.
    colours = all(name in (*HAIR_COLOURS, *HAIR_SHAPES, "wearing_lipstick") for name in names)
    # Hair shapes are drawn, in strands; a dye is even, on hair and on lips, and spares the teeth between them.
    even = colours and not any(name in HAIR_SHAPES for name in names)
    blend = Blend(kind="tint" if even else "change", preserve=(), softness=1, since="fit")
    if not colours:
        blend = Blend(kind="redraw", preserve=("skin",), softness=1, since="fit")
    strengths = [target] * len(names) if isinstance(target, float | int) else target
    drawn = zip(names, strengths, strict=False)  # attribute() counts them
    if components is None and all(name == "arched_eyebrows" or (name == "smiling" and s > 0.5) for name, s in drawn):
        # Along components, a smile that satisfies the classifier glows, and arched brows are a pale band. Along the
        # direction the rest of the face comes along, and is not taken. Of others that were tried it does too little.
        epsilon = 0.03 if smoothing is None else smoothing
        edit = 0.05 * preserve(*kept) + 0.01 * latent_prior()
        edit = edit + 0.03 * attribute(names, target=target, smoothing=epsilon, hold=hold)
        moves = latent(lr=0.03, along=names)
    else:
        epsilon = 0.01 if smoothing is None else smoothing
        edit = 5.0 * preserve(*kept) + (prior if colours else 0.05 * latent_prior())
        edit = edit + 0.03 * attribute(names, target=target, smoothing=epsilon, hold=hold, seen_in="blended")
        few = not colours and any(region in changing for region in ("mouth", "nose"))
        moves = latent(lr=0.05 if colours else 0.03, components=components or (24 if few else 64))
    if "hair" in changing:
        edit = edit + 0.5 * shape("hair")
    for region, scale in (size or {}).items():
        edit = edit + region_size(region, scale=scale)
    return Schedule(
        Stage("fit", steps[0], 5.0 * preserve(*face) + prior, vary=latent(lr=0.02)),
        Stage("edit", steps[1], edit, vary=moves, after_step=[GrowTarget()]),
        blend=blend,
    )


def _names(attributes: str | Sequence[str]) -> tuple[str, ...]:
    return (attributes,) if isinstance(attributes, str) else tuple(attributes)


def _local(
    names: tuple[str, ...],
    target: float | int | Sequence[float | int],
    smoothing: float | int | Sequence[float | int],
    hold: Sequence[str],
    size: Mapping[str, float | int] | None,
    ears: tuple[str, ...] = (),
) -> tuple[Objective, Objective, Blend]:
    """Eq. 9 with its weights: what to keep, that and the edit, and the blend."""
    keep = 2.0 * preserve("skin", *ears)
    edit = keep + 0.005 * attribute(names, target=target, smoothing=smoothing, hold=hold)
    if "hair" in target_regions(names):
        edit = edit + 0.5 * shape("hair", *ears, grow=any(name in HAIR_SHAPES for name in names))
    for region, scale in (size or {}).items():
        edit = edit + region_size(region, scale=scale)
    return Objective([keep]), edit, Blend(preserve=("skin", *ears))
