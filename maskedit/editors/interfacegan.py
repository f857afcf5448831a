"""InterFaceGAN (Shen et al. 2020): a latent walks across an attribute's boundary. InterFaceGAN-D too.

A boundary is a hyperplane in the generator's latent space, with the attribute on one side, given by its unit normal.
A latent moves along the normal, in W+ by the same amount wherever it is. Conditions are other normals that are
projected out first, so that the walk stays where it is with respect to them. The whole picture is the generator's:
nothing is blended.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.attributes import HAIR_COLOURS, HAIR_SHAPES
from maskedit.edit import Edit, check_names
from maskedit.editors.editor import Capabilities, Edited
from maskedit.errors import InputError
from maskedit.models.files.boundaries import Boundaries
from maskedit.problem import Problem
from maskedit.protocols import Models
from maskedit.schedule import Schedule
from maskedit.solve import run
from maskedit.types import Image, Latent

REACH = 3.0
"""How far a full edit goes, in deviations of the latents along the normal: the released program's range."""


def walk(
    code: Float[Tensor, "1 *shape"], normal: Float[Tensor, "1 dim"], distances: Float[Tensor, " steps"]
) -> Float[Tensor, "steps *shape"]:
    """A code at several places along a normal, as the released program walks.

    Args:
        code: ``[1, dim]``, which moves **to** the distances from the boundary, through the origin; or a W+ code
            ``[1, layers, dim]``, which moves **by** them from where it is, the same in every layer.
        normal: of length 1.
        distances: signed.
    """
    if code.ndim == 2:
        distances = distances - (code * normal).sum()
    return code + distances.view(-1, *[1] * (code.ndim - 1)) * normal


def conditional(normal: Float[Tensor, "1 dim"], conditions: Sequence[Float[Tensor, "1 dim"]]) -> Float[Tensor, "1 dim"]:
    """The part of a normal that is orthogonal to all conditions, at length 1.

    Args:
        normal: what to move along.
        conditions: normals of what shall not change; dependent ones do no harm.

    Raises:
        InputError: if nothing is left.
    """
    left = normal
    if conditions:
        basis = torch.cat(list(conditions))
        left = normal - normal @ basis.mT @ torch.linalg.pinv(basis @ basis.mT, hermitian=True) @ basis
    length = left.norm()
    if length < 1e-6 * normal.norm():
        raise InputError("the conditions leave nothing to move along", hint="Take fewer of them.")
    return left / length


def going_together(boundaries: Boundaries, threshold: float = 0.3) -> dict[str, tuple[str, ...]]:
    """The conditions of InterFaceGAN-D: for each attribute, those that go with it in the data.

    The paper's authors chose them by hand, attribute by attribute. Here they are those whose scores correlate with
    the attribute's by more than a threshold over the generator's own pictures; but not those that exclude one another
    by nature, as hair colours do, which have to change together.

    Args:
        boundaries: with the correlations of their scores.
        threshold: of the correlation, its sign left aside.

    Raises:
        InputError: if the boundaries come without correlations.
    """
    if boundaries.together is None:
        raise InputError(
            "these boundaries do not say what goes together", expected="correlations, as maskedit train boundaries has"
        )
    kin = {frozenset(pair) for group in (HAIR_COLOURS, HAIR_SHAPES) for pair in itertools.combinations(group, 2)}
    names = tuple(boundaries.normals)
    return {
        name: tuple(
            other
            for j, other in enumerate(names)
            if other != name
            and abs(float(boundaries.together[i, j])) > threshold
            and frozenset((name, other)) not in kin
        )
        for i, name in enumerate(names)
    }


def fitted(models: Models, schedule: Schedule) -> Callable[[Image], Latent]:
    """A way to invert: the latents with which a schedule ends, such as one stage that fits the whole picture.

    Args:
        models: whose encoder, or else whose mean latent, is the start.
        schedule: what to run on each batch.
    """
    start: Literal["mean", "encoder"] = "mean" if models.encoder is None else "encoder"
    return lambda images: run(Problem(models, images, start=start), schedule).latent


class InterFaceGAN:
    """Edits by a step across a boundary; an :class:`~maskedit.editors.Editor`.

    Args:
        models: a generator, and an encoder unless ``invert`` is given.
        boundaries: one for each attribute that can be edited.
        conditions: attribute -> others to project out; :func:`going_together` makes this InterFaceGAN-D.
        invert: finds the latents of pictures at the generator's size; the encoder by default.
        reach: how far an edit to 1 or 0 goes, in deviations along the normal.
        name: what to call it.

    Raises:
        InputError: if there is no way to find latents, or a boundary does not fit the generator.
    """

    def __init__(
        self,
        models: Models,
        boundaries: Boundaries,
        *,
        conditions: Mapping[str, Sequence[str]] | None = None,
        invert: Callable[[Image], Latent] | None = None,
        reach: float = REACH,
        name: str = "InterFaceGAN",
    ) -> None:
        if invert is None and models.encoder is None:
            raise InputError(
                "InterFaceGAN needs the latents of pictures",
                expected="models with an encoder, or a way to invert",
                hint="maskedit.editors.fitted makes one of a schedule.",
            )
        boundaries.check(models.generator)
        self.models, self.boundaries, self.reach, self.name = models, boundaries, reach, name
        self.conditions = {key: tuple(value) for key, value in (conditions or {}).items()}
        self._invert = invert

    @property
    def capabilities(self) -> Capabilities:
        """Strength is the length of the walk."""
        return Capabilities(
            attributes=tuple(self.boundaries.normals),
            removal=True,
            several=True,
            strength=True,
            size=False,
            hold=True,
            resolution=self.models.generator.resolution,
        )

    def edit(self, images: Image, edit: Edit, seeds: Sequence[int]) -> Edited:
        """Edit a batch: find the latents, move them, and draw.

        A target of 1 moves by ``reach`` deviations towards the attribute, 0 as far away from it, and 1/2 not at all,
        whatever the picture shows already. What the edit holds is projected out.

        Args:
            images: ``[b, 3, R, R]`` in [0, 1], at the generator's resolution.
            edit: what is wanted.
            seeds: not needed: nothing is drawn at random.

        Raises:
            InputError: if the edit is beyond the editor, or a held attribute has no boundary.
        """
        self.capabilities.check(self.name, edit)
        check_names("attribute", edit.hold, self.name, self.capabilities.attributes)
        begun = time.perf_counter()
        with torch.no_grad():
            latents = self._latents(images)
            for name, target in edit.attributes.items():
                latents = latents + self.step(name, target, hold=edit.hold, but=tuple(edit.attributes)).to(latents)
            noises = [latents.new_zeros(len(latents), 1, h, w) for h, w in self.models.generator.noise_shapes]
            drawn = self.models.generator.synthesize(latents, noises).clamp(0, 1)
        return Edited(drawn, self.capabilities, time.perf_counter() - begun)

    def step(
        self, name: str, target: float, *, hold: Sequence[str] = (), but: Sequence[str] = ()
    ) -> Float[Tensor, "layers dim"]:
        """What an edit adds to a latent.

        Args:
            name: the attribute.
            target: in [0, 1].
            hold: attributes to project out, beside the conditions.
            but: attributes not to project out, since they are edited too.
        """
        normals = self.boundaries.normals
        fixed = [other for other in dict.fromkeys((*self.conditions.get(name, ()), *hold)) if other not in but]
        flat = conditional(normals[name].reshape(1, -1), [normals[other].reshape(1, -1) for other in fixed])
        far = (2 * target - 1) * self.reach * self.boundaries.deviations[name]
        return (far * flat).view_as(normals[name])

    def _latents(self, images: Image) -> Latent:
        if self._invert is not None:
            return self._invert(images)
        assert self.models.encoder is not None  # checked when this was made
        return self.models.encoder.encode(images)
