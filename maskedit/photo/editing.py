"""From a photo to the edited photo, in one call: find the face, align it, run a recipe, paste the edit back."""

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit import recipes
from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.blending import tinted
from maskedit.errors import InputError
from maskedit.models.weights.bundled import load
from maskedit.photo.align import Alignment, Photo, Square, align, crop
from maskedit.photo.find import Box, find_face
from maskedit.photo.paste import paste
from maskedit.problem import Problem
from maskedit.protocols import Models
from maskedit.schedule import Schedule
from maskedit.solve import Result, Step
from maskedit.solve import run as solve

Recipe = Callable[..., Schedule]

RECIPES: Mapping[str, tuple[Recipe, str]] = {
    "plausible": (recipes.plausible, "encoder"),
    "fast": (recipes.fast, "encoder"),
    "balanced": (recipes.balanced, "encoder"),
    "paper": (recipes.paper, "mean"),
    "released": (recipes.released, "mean"),
}
"""Name -> the recipe for local edits, and where its latent starts."""


@dataclass(frozen=True, eq=False)
class Edited:
    """A photo after its edit, and how it came about.

    Args:
        photo: the edited photo ``[1, 3, h, w]``, the input's very bits where nothing was to change.
        original: the input ``[1, 3, h, w]``.
        alignment: where the face's square lies in it.
        schedule: what was run.
        result: what the run gave, in the square.
        attributes: name -> the classifier's probability in the square, before and after.
        seconds: spent on finding the face, on the run, and on pasting.
    """

    photo: Photo
    original: Photo
    alignment: Alignment
    schedule: Schedule
    result: Result
    attributes: Mapping[str, tuple[float, float]]
    seconds: Mapping[str, float]


def edit_photo(
    photo: Photo,
    wanted: Mapping[str, float | int],
    *,
    models: Models | None = None,
    recipe: str = "plausible",
    landmarks: Float[Tensor, "points 2"] | None = None,
    box: Box | None = None,
    seed: int = 0,
    watch: Callable[[Step], None] | None = None,
) -> Edited:
    """Edit the face in a photo: find it, align it, run a recipe, and paste the edit back.

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1], such as :func:`maskedit.photo.read` gives.
        wanted: attribute -> target in [0, 1]; 1 sets, 0 removes, anything between is a strength.
        models: the bundled portraits by default.
        recipe: ``"plausible"``, ``"fast"``, ``"balanced"``, ``"paper"`` or ``"released"``; see :mod:`maskedit.recipes`.
        landmarks: pixels x, y of 68 or 5 points of the face, if they are known.
        box: (left, top, right, bottom) of the face in pixels, if that is known.
        seed: of everything that is drawn.
        watch: called with each step, such as :func:`maskedit.report.progress`.

    Raises:
        InputError: if an attribute, target or recipe is unknown, or the landmarks are none.
        PhotoError: if there is not one face.
    """
    models = load() if models is None else models
    make, start = _recipe(recipe)
    names = tuple(wanted)
    if not names:
        raise InputError("nothing is to be edited", expected=f"some of {', '.join(editable(models))}")
    for name in names:
        _check_known(name, models)
    schedule = make(names, target=list(wanted.values()))
    begun = time.perf_counter()
    if landmarks is None:
        landmarks = find_face(photo, box=box)
    alignment = align(landmarks, (photo.shape[2], photo.shape[3]))
    square = crop(photo, alignment, models.generator.resolution)
    found = time.perf_counter()
    problem = Problem(models, square, wanted, start=start)  # type: ignore[arg-type]
    result = solve(problem, schedule, seeds=[seed], watch=watch)
    ran = time.perf_counter()
    edited = _paste(photo, alignment, square, schedule, result)
    seconds = {"find": found - begun, "run": ran - found, "paste": time.perf_counter() - ran}
    return Edited(edited, photo, alignment, schedule, result, _attributes(models, square, result), seconds)


def editable(models: Models) -> tuple[str, ...]:
    """The attributes that these models can edit: those of their classifier whose regions Table I knows."""
    known = models.classifier.attributes if models.classifier is not None else ()
    return tuple(name for name in known if name in ATTRIBUTE_REGIONS)


def _check_known(name: str, models: Models) -> None:
    """Raise, with the nearest name, unless these models can edit this attribute."""
    names = editable(models)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else ""
    raise InputError(f"no attribute is called {name!r}", expected=f"one of {', '.join(names)}", hint=hint)


def _recipe(name: str) -> tuple[Recipe, str]:
    if name not in RECIPES:
        raise InputError(f"no recipe for photos is called {name!r}", expected=f"one of {', '.join(RECIPES)}")
    return RECIPES[name]


def _paste(photo: Photo, alignment: Alignment, square: Square, schedule: Schedule, result: Result) -> Photo:
    """The run's picture in the photo, as its blend would have it at the photo's size."""
    if schedule.blend is None or bool(result.frozen[0]):
        return photo
    mask = result.masks["blend"]
    if schedule.blend.needs_fitted:
        original = square if schedule.blend.kind == "redraw" else None
        edited = result.generated
        if schedule.blend.kind == "tint":
            assert result.fitted is not None  # this kind needs it
            edited = tinted(edited, result.fitted, mask)
        return paste(photo, alignment, edited, mask, fitted=result.fitted, original=original)
    if schedule.blend.kind == "pyramid":
        return paste(photo, alignment, result.image, (mask > 0).to(mask))
    return paste(photo, alignment, result.generated, mask)


def _attributes(models: Models, square: Square, result: Result) -> dict[str, tuple[float, float]]:
    """What the classifier sees before and after, all that it knows."""
    classifier = models.classifier
    assert classifier is not None  # the problem has asked it
    with torch.no_grad():
        chances = [
            classifier.classify(x, classifier.attributes).sigmoid()[0] for x in (square, result.image.clamp(0, 1))
        ]
    return {
        name: (before, after)
        for name, before, after in zip(classifier.attributes, *(values.tolist() for values in chances), strict=True)
    }
