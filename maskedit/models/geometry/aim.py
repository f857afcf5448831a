"""Coordinates of shape for what was asked: attributes by a classifier of points, sizes by the regions' polygons.

Both are known exactly from the points, so nothing looks at a picture here: a few Gauss-Newton steps, each the
shortest way that brings what was asked nearer and leaves the other attributes where they are. Whether others see in
the picture what was asked is for a judge to say that took no part.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.geometry.classifier import ShapeClassifier
from maskedit.models.geometry.coordinates import LONGEST, MEASURED, REGIONS, Coordinates, bounds, names
from maskedit.models.geometry.mesh import area
from maskedit.models.geometry.warp import Warp
from maskedit.models.region_labels import positions

STEPS = 12
"""Of Gauss and Newton; the last ones change nothing that shows."""

RIDGE = 0.02
"""Of each step, in squared logits: keeps it short where nothing moves a value."""

SIZE_UNIT = 10.0
"""Logits that the logarithm of a size counts as: a tenth of a region as much as one."""

LEAST = 0.15
"""The smallest determinant that is let be: where more is asked, the shape goes part of the way."""


@dataclass(frozen=True)
class Aimed:
    """What was found for each photo.

    Args:
        rows: the coordinates.
        shape: the points that the warp lands there.
        logits: attribute -> the classifier's logit of that shape.
        sizes: region -> how many times larger its polygons are.
        notes: a sentence on each photo where a safe range ended before the aim; empty where it did not.
    """

    rows: Float[Tensor, "b regions numbers"]
    shape: Float[Tensor, "b points 2"]
    logits: Mapping[str, Float[Tensor, " b"]]
    sizes: Mapping[str, Float[Tensor, " b"]]
    notes: tuple[str, ...]


def aim(
    points: Float[Tensor, "b points 2"],
    *,
    logits: Mapping[str, float] | None = None,
    size: Mapping[str, float] | None = None,
    hold: Collection[str] | None = None,
    classifier: ShapeClassifier,
    coordinates: Coordinates,
) -> Aimed:
    """The shapes in which faces have some attributes and sizes, as near to their own as can be.

    Args:
        points: the faces' own points.
        logits: attribute -> the classifier's logit to come to; who is beyond it already stays.
        size: region -> how many times larger its area shall be.
        hold: other attributes to keep as they are; all that the classifier tells by default.
        classifier: tells the attributes.
        coordinates: what may move.

    Raises:
        InputError: if an attribute or a region is not known, or a size is not positive.
    """
    wanted, sizes = dict(logits or {}), dict(size or {})
    _check(wanted, sizes, classifier)
    positions(tuple(hold or ()), classifier.attributes, "attribute")
    known = [name for name in classifier.attributes if name in wanted or hold is None or name in hold]
    shown = {*sizes, *(classifier.regions[name] for name in wanted)}
    moves, low, high = _moves(shown, sizes, coordinates)
    moves, low, high = moves.to(points), low.to(points), high.to(points)
    warp, own = Warp(points), classifier.of_points(points, known)
    goals = [_goal(own[:, i], wanted.get(name)) for i, name in enumerate(known)]
    goals += [torch.full_like(own[:, 0], SIZE_UNIT * math.log(factor)) for factor in sizes.values()]
    goal = torch.stack(goals, 1)

    def shape_of(amounts: Float[Tensor, "b moves"]) -> Float[Tensor, "b points 2"]:
        return coordinates.shape(points, (amounts @ moves).unflatten(1, (len(REGIONS), LONGEST)))

    def values_of(amounts: Float[Tensor, "b moves"]) -> Float[Tensor, "b goals"]:
        shape = warp.landed(shape_of(amounts))
        grown = [SIZE_UNIT * (area(shape, region) / area(points, region)).log() for region in sizes]
        return torch.cat([classifier.of_points(shape, known), *(value[:, None] for value in grown)], 1)

    amounts = points.new_zeros(len(points), len(moves))
    for _ in range(STEPS):
        at = amounts.clone().requires_grad_()
        values = values_of(at)
        slopes = torch.stack([torch.autograd.grad(v.sum(), at, retain_graph=True)[0] for v in values.unbind(1)], 1)
        way = _shortest(slopes, goal - values.detach())
        # What is at the end of its range and would leave it stays there, and the others do its part.
        ended = ((amounts <= low) & (way < 0)) | ((amounts >= high) & (way > 0))
        way = _shortest(slopes * ~ended[:, None], goal - values.detach())
        amounts = (amounts + way).clamp(low, high)
    for _ in range(10):
        folds = warp.smallest(shape_of(amounts)) < LEAST
        amounts = torch.where(folds[:, None], 0.85 * amounts, amounts)
    with torch.no_grad():
        shape, values = warp.landed(shape_of(amounts)), values_of(amounts)
    told = dict(zip((*known, *sizes), values.unbind(1), strict=True))
    missed = dict(zip((*known, *sizes), (values - goal).abs().unbind(1), strict=True))
    return Aimed(
        rows=(amounts @ moves).unflatten(1, (len(REGIONS), LONGEST)),
        shape=shape,
        logits={name: told[name] for name in wanted},
        sizes={region: (told[region] / SIZE_UNIT).exp() for region in sizes},
        notes=tuple(_note(i, wanted, sizes, told, missed) for i in range(len(points))),
    )


def _goal(own: Float[Tensor, " b"], logit: float | None) -> Float[Tensor, " b"]:
    """Where an attribute's logit shall be: where it was, or at or beyond the one that was asked for."""
    if logit is None:
        return own
    return own.clamp(min=logit) if logit > 0 else own.clamp(max=logit)


def _moves(
    shown: Collection[str], sizes: Mapping[str, float], coordinates: Coordinates
) -> tuple[Float[Tensor, "moves numbers"], Float[Tensor, " moves"], Float[Tensor, " moves"]]:
    """What may move, as rows laid end to end, and between which amounts.

    Measured coordinates of the regions that are meant, and the sizes asked for.
    """
    least, most = bounds(coordinates)
    moves, limits = [], []
    for i, region in enumerate(REGIONS):
        for name in MEASURED[region] if region in shown else ():
            row = torch.zeros(len(REGIONS), LONGEST)
            row[i, names(region).index(name)] = 1
            moves.append(row.flatten())
            limits.append((float((row * least).sum()), float((row * most).sum())))
    for region in sizes:
        row, i = torch.zeros(len(REGIONS), LONGEST), REGIONS.index(region)
        row[i, 2:4] = 0.1 / coordinates.deviations[region].cpu()
        if region == "eyebrows":  # grow thicker, not longer
            row[i, 2] = 0
        moving = row[i, 2:4] > 0
        low, high = (limit[i, 2:4][moving] / row[i, 2:4][moving] for limit in (least, most))
        moves.append(row.flatten())
        limits.append((float(low.max()), float(high.min())))
    low, high = torch.tensor(limits).unbind(1)
    return torch.stack(moves), low, high


def _shortest(slopes: Float[Tensor, "b goals moves"], missing: Float[Tensor, "b goals"]) -> Float[Tensor, "b moves"]:
    """The least amounts that make up for what is missing, if the values were linear in them."""
    square = slopes @ slopes.transpose(1, 2) + RIDGE * torch.eye(slopes.shape[1]).to(slopes)
    return (slopes.transpose(1, 2) @ torch.linalg.solve(square, missing[..., None]))[..., 0]


def _check(wanted: Mapping[str, float], sizes: Mapping[str, float], classifier: ShapeClassifier) -> None:
    positions(tuple(wanted), classifier.attributes, "attribute")
    for region, factor in sizes.items():
        if region not in REGIONS:
            raise InputError(f"the size of {region!r} cannot change", expected=f"one of {', '.join(REGIONS)}")
        if factor <= 0:
            raise InputError(f"the {region} cannot have that size", expected="a positive factor", actual=str(factor))


def _note(
    photo: int,
    wanted: Mapping[str, float],
    sizes: Mapping[str, float],
    told: Mapping[str, Float[Tensor, " b"]],
    missed: Mapping[str, Float[Tensor, " b"]],
) -> str:
    """A sentence on what ended before its aim."""
    ended = [
        f"{name} ended at a logit of {told[name][photo]:.1f} of {logit:.1f}"
        for name, logit in wanted.items()
        if missed[name][photo] > 0.5
    ]
    ended += [
        f"{region} grew by {(told[region][photo] / SIZE_UNIT).exp():.2f} of {factor:.2f}"
        for region, factor in sizes.items()
        if missed[region][photo] > SIZE_UNIT * math.log(1.1)
    ]
    return f"The safe range of this face ended first: {'; '.join(ended)}." if ended else ""
