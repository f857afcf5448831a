"""Recipe: an Edit made into a Schedule, with where it starts and which models it needs."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from maskedit.blending import Blend, Several
from maskedit.edit import Edit
from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.protocols import Models
from maskedit.schedule import Schedule, Stage


class Recipe(Schedule):
    """A schedule of an edit: a frozen value, which prints and runs like any schedule.

    >>> from maskedit.recipes import paper
    >>> recipe = paper("smiling")
    >>> recipe.start, recipe.needs
    ('mean', ('parser', 'classifier', 'mean_latent'))

    Args:
        stages: as of any schedule.
        blend: as of any schedule.
        edit: what is wished for.
        start: where the latent starts, ``"mean"`` or ``"encoder"``.
        needs: what must be there beside the generator: names of fields of :class:`~maskedit.protocols.Models`.
    """

    __slots__ = ("_edit", "_needs", "_start")

    def __init__(
        self,
        *stages: Stage,
        blend: Blend | Several | None,
        edit: Edit,
        start: Literal["mean", "encoder"],
        needs: tuple[str, ...],
    ) -> None:
        super().__init__(*stages, blend=blend)
        self._edit, self._start, self._needs = edit, start, needs

    @property
    def edit(self) -> Edit:
        """What is wished for."""
        return self._edit

    @property
    def start(self) -> Literal["mean", "encoder"]:
        """Where the latent starts."""
        return self._start

    @property
    def needs(self) -> tuple[str, ...]:
        """The models that must be there beside the generator."""
        return self._needs

    def check_models(self, models: Models) -> None:
        """Refuse models of which one that is needed is missing, or that lack what the edit names.

        Raises:
            InputError: naming what is missing.
        """
        for role in self._needs:
            if getattr(models, role) is None:
                raise InputError(
                    f"the recipe needs {_ROLES[role]}", actual=f"models.{role} is None", hint="Choose another recipe."
                )
        self._edit.check(models)

    def problem(self, models: Models, image: Float[Tensor, "b 3 _ _"]) -> Problem:
        """The problem that it is for: these pictures ``[b, 3, R, R]``, its edit, its start.

        Raises:
            InputError: if a model is missing, or the pictures are none.
        """
        self.check_models(models)
        return Problem(models, image, self._edit, start=self._start)


_ROLES = {
    "parser": "a parser",
    "classifier": "a classifier",
    "encoder": "an encoder",
    "mean_latent": "a mean latent",
    "latents": "a latent distribution",
}
