"""The paper's method, by any recipe, as an editor."""

import time
from collections.abc import Callable, Sequence

from maskedit import recipes
from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.edit import Edit
from maskedit.editors.editor import Capabilities, Edited
from maskedit.errors import InputError
from maskedit.protocols import Models
from maskedit.recipes import Recipe
from maskedit.solve import run
from maskedit.types import Image


class MaskFaceGAN:
    """Optimises latent and noise under masks, and blends; an :class:`~maskedit.editors.Editor`.

    Args:
        models: generator, parser and classifier, and what the recipe needs beside them.
        recipe: makes the schedule and says its start, as those of :mod:`maskedit.recipes` do.
        name: what to call it.

    Raises:
        InputError: if there is no classifier.
    """

    def __init__(
        self,
        models: Models,
        *,
        recipe: Callable[[Edit], Recipe] = recipes.plausible,
        name: str = "MaskFaceGAN",
    ) -> None:
        if models.classifier is None:
            raise InputError("MaskFaceGAN needs a classifier", actual="models.classifier is None")
        self.models, self.recipe, self.name = models, recipe, name
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
        made = self.recipe(edit)
        result = run(made.problem(self.models, images), made, seeds=seeds)
        return Edited(result.image.clamp(0, 1), self.capabilities, time.perf_counter() - begun)
