"""From a photo to the edited photo, in one call: find the face, align it, run a recipe, paste the edit back."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.edit import Edit, Wish
from maskedit.errors import InputError, PhotoError
from maskedit.models.weights.bundled import load
from maskedit.photo.alignment import Alignment, Photo, Square, align, crop
from maskedit.photo.files import read, write
from maskedit.photo.find import STEADY, Box, find_face, locate
from maskedit.photo.pasting import paste
from maskedit.protocols import Models
from maskedit.recipes import RECIPES, Recipe
from maskedit.solve import Result, Step
from maskedit.solve import run as solve


@dataclass(frozen=True, eq=False)
class Edited:
    """A photo after its edit, and how it came about.

    Args:
        photo: the edited photo ``[1, 3, h, w]``, the input's very bits where nothing was to change.
        original: the input ``[1, 3, h, w]``.
        alignment: where the face's square lies in it.
        recipe: what was run, and the edit that it is of.
        result: what the run gave, in the square.
        attributes: name -> the classifier's probability in the square, before and after.
        seconds: spent on finding the face, on the run, and on pasting.
        notes: what to know of it, a sentence each; usually nothing.
    """

    photo: Photo
    original: Photo
    alignment: Alignment
    recipe: Recipe
    result: Result
    attributes: Mapping[str, tuple[float, float]]
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def save(self, path: str | os.PathLike[str], *, replace: bool = False) -> None:
        """Write the edited photo, whole or not at all.

        Args:
            path: ends in ``.png`` (exact), ``.jpg`` or ``.jpeg``.
            replace: whether a file that is there already may be replaced.

        Raises:
            InputError: if the suffix is another.
            PhotoError: if there is such a file and it may not be replaced.
            FileError: if the file cannot be written.
        """
        if not replace and os.path.lexists(path):
            raise PhotoError(f"there is a file {path} already", hint="Choose another name, or say replace=True.")
        write(self.photo, path)


def edit_photo(
    photo: Photo | str | os.PathLike[str],
    wish: Wish,
    *,
    models: Models | None = None,
    recipe: str | Callable[[Edit], Recipe] = "plausible",
    landmarks: Float[Tensor, "points 2"] | None = None,
    box: Box | None = None,
    seed: int = 0,
    watch: Callable[[Step], None] | None = None,
) -> Edited:
    """Edit the face in a photo: find it, align it, run a recipe, and paste the edit back.

    ``edit_photo("portrait.jpg", "blond_hair").save("blond.jpg")`` is the shortest program.

    Args:
        photo: a file, or ``[1, 3, h, w]`` in [0, 1], such as :func:`maskedit.photo.read` gives.
        wish: an Edit or a short form of one.
        models: the bundled portraits by default.
        recipe: a name in :data:`maskedit.recipes.RECIPES`, or what makes a recipe of an Edit.
        landmarks: pixels x, y of 68 or 5 points of the face, if they are known.
        box: (left, top, right, bottom) of the face in pixels, if that is known.
        seed: of everything that is drawn.
        watch: called with each step, such as :func:`maskedit.report.progress`.

    Raises:
        InputError: if an attribute, target or recipe is unknown, or the landmarks are none.
        PhotoError: if the photo cannot be read, or there is not one face.
    """
    models = load() if models is None else models
    edit = Edit.of(wish)
    if not edit:
        raise InputError("nothing is to be edited", expected=f"some of {', '.join(editable(models))}")
    edit.check(models)
    made = recipe_of(recipe)(edit)
    made.check_models(models)
    if not isinstance(photo, Tensor):
        photo = read(photo)
    begun = time.perf_counter()
    notes: tuple[str, ...] = ()
    if landmarks is None:
        alignment = align(find_face(photo, box=box), (photo.shape[2], photo.shape[3]))
    else:
        alignment = _given(landmarks, photo)
        if locate(photo, [alignment])[1][0] >= STEADY:
            notes = ("No face was recognised at the landmarks that were given.",)
    square = crop(photo, alignment, models.generator.resolution)
    found = time.perf_counter()
    result = solve(made.problem(models, square), made, seeds=[seed], watch=watch)
    ran = time.perf_counter()
    edited = photo if bool(result.frozen[0]) else paste(photo, alignment, *result.patches)
    seconds = {"find": found - begun, "run": ran - found, "paste": time.perf_counter() - ran}
    return Edited(edited, photo, alignment, made, result, _attributes(models, square, result), seconds, notes)


def editable(models: Models) -> tuple[str, ...]:
    """The attributes that these models can edit: those of their classifier whose regions Table I knows."""
    known = models.classifier.attributes if models.classifier is not None else ()
    return tuple(name for name in known if name in ATTRIBUTE_REGIONS)


def recipe_of(recipe: str | Callable[[Edit], Recipe]) -> Callable[[Edit], Recipe]:
    """The recipe of that name; one that is given is taken as it is.

    Raises:
        InputError: if there is no recipe of that name.
    """
    if not isinstance(recipe, str):
        return recipe
    if recipe not in RECIPES:
        raise InputError(f"no recipe for photos is called {recipe!r}", expected=f"one of {', '.join(RECIPES)}")
    return RECIPES[recipe]


def _given(landmarks: Float[Tensor, "points 2"], photo: Photo) -> Alignment:
    """The square of landmarks that were given, which must be a face's and lie in the photo."""
    height, width = photo.shape[2:]
    alignment = align(landmarks, (height, width))
    x, y = alignment.centre
    if not (0 <= x <= width and 0 <= y <= height):
        raise InputError(
            "the landmarks lie outside the photo",
            expected=f"a face within {width} x {height} pixels",
            actual=f"one around {x:.0f},{y:.0f}",
        )
    points = landmarks.detach().cpu()
    eyes, mouth = (points[:2], points[3:5]) if len(points) == 5 else (points[[36, 45]], points[[48, 54]])
    across, down = eyes[1] - eyes[0], mouth.mean(dim=0) - eyes.mean(dim=0)
    turn = (across[0] * down[1] - across[1] * down[0]) / (across.norm() * down.norm())
    if turn.abs() < 0.3:
        raise InputError(
            "the landmarks lie on a line",
            expected="eyes, and a mouth below them",
            hint="The order is x, y; eyes first.",
        )
    return alignment


def _attributes(models: Models, square: Square, result: Result) -> dict[str, tuple[float, float]]:
    """What the classifier sees before and after, all that it knows."""
    classifier = models.classifier
    if classifier is None:
        return {}
    with torch.no_grad():
        chances = [
            classifier.classify(x, classifier.attributes).sigmoid()[0] for x in (square, result.image.clamp(0, 1))
        ]
    return {
        name: (before, after)
        for name, before, after in zip(classifier.attributes, *(values.tolist() for values in chances), strict=True)
    }
