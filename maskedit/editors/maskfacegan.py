"""The paper's method, by any recipe, as an editor."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from maskedit import recipes
from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.edit import Edit
from maskedit.editors.editor import Capabilities, Edited
from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.protocols import Models
from maskedit.schedule import Schedule
from maskedit.solve import run
from maskedit.types import Image


class MaskFaceGAN:
    """Optimises latent and noise under masks, and blends; an :class:`~maskedit.editors.Editor`.

    Args:
        models: generator, parser and classifier, and what the recipe needs beside them.
        recipe: makes the schedule, as those of :mod:`maskedit.recipes` do.
        start: where the latent starts.
        name: what to call it.

    Raises:
        InputError: if there is no classifier.
    """

    def __init__(
        self,
        models: Models,
        *,
        recipe: Callable[..., Schedule] = recipes.plausible,
        start: Literal["mean", "encoder"] = "encoder",
        name: str = "MaskFaceGAN",
    ) -> None:
        if models.classifier is None:
            raise InputError("MaskFaceGAN needs a classifier", actual="models.classifier is None")
        self.models, self.recipe, self.start, self.name = models, recipe, start, name
        self._attributes = tuple(name for name in models.classifier.attributes if name in ATTRIBUTE_REGIONS)

    @property
    def capabilities(self) -> Capabilities:
        """All that an Edit can say, of the attributes whose regions Table I knows."""
        return Capabilities(
            attributes=self._attributes,
            removal=True,
            several=True,
            strength=True,
            size=True,
            hold=True,
            resolution=self.models.generator.resolution,
        )

    def edit(self, images: Image, edit: Edit, seeds: Sequence[int]) -> Edited:
        """Edit a batch.

        Args:
            images: ``[b, 3, R, R]`` in [0, 1], at the generator's resolution.
            edit: what is wanted.
            seeds: one for each picture.

        Raises:
            InputError: if the edit is beyond the models.
        """
        self.capabilities.check(self.name, edit)
        begun = time.perf_counter()
        names = tuple(edit.attributes)
        options: dict[str, Any] = {"target": list(edit.attributes.values()), "hold": edit.hold, "size": dict(edit.size)}
        if edit.smoothing is not None:
            options["smoothing"] = edit.smoothings(0.05)
        problem = Problem(self.models, images, edit, start=self.start)
        result = run(problem, self.recipe(names, **options), seeds=seeds)
        return Edited(result.image.clamp(0, 1), self.capabilities, time.perf_counter() - begun)
