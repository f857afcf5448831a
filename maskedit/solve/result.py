"""What a run gives: a Step while it goes, a Result with its History when it ends."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from torch import Tensor

from maskedit.blending import Patch
from maskedit.types import Image, Latent, Mask, NoiseMap, PerSample


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """Every term's value at every step; NaN where an image was not moving.

    Args:
        raw: by ``"stage.term"``, before the weight ``[b, t]``, ``t`` the steps done in that stage.
        weighted: the same times its weight.
        total: the sum of the weighted, over all stages ``[b, t]``.
        stages: name and steps done of each stage, in order.
    """

    raw: Mapping[str, Float[Tensor, "b _"]]
    weighted: Mapping[str, Float[Tensor, "b _"]]
    total: Float[Tensor, "b t"]
    stages: tuple[tuple[str, int], ...]

    def __repr__(self) -> str:
        return f"History({', '.join(f'{name}: {steps} steps' for name, steps in self.stages)}; {', '.join(self.raw)})"


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The end of a run.

    Args:
        image: the blended pictures ``[b, 3, R, R]``, not clamped. The input, where no finite one was found.
        generated: the generator's last pictures ``[b, 3, R, R]``.
        fitted: the generated pictures when the change of the blend began; None for other blends.
        latent: ``[b, layers, dim]``.
        noises: maps ``[b, 1, h_i, w_i]``.
        masks: ``"preserve"`` as last relaxed, ``"target"`` of the input, ``"blend"``, each ``[b, 1, R, R]``;
            empty without a blend.
        patches: what the blend laid upon the input, in order; see :class:`~maskedit.blending.Patch`.
        history: every term at every step.
        status: one sentence per image.
        frozen: images that were frozen because something was not finite ``[b]``.
        seeds: one per image.
        seconds: time spent in steps.
    """

    image: Image
    generated: Image
    fitted: Image | None
    latent: Latent
    noises: tuple[NoiseMap, ...]
    masks: Mapping[str, Mask]
    patches: tuple[Patch, ...]
    history: History
    status: tuple[str, ...]
    frozen: Bool[Tensor, " b"]
    seeds: tuple[int, ...]
    seconds: float

    def __repr__(self) -> str:
        return f"Result({len(self.image)} images, {self.seconds:.1f} s, {self.history!r}, status {self.status})"


@dataclass(frozen=True, eq=False)
class Step:
    """One step that was done. What callbacks and ``for step in steps(...)`` see.

    Args:
        stage: the stage's name.
        step: the step in it, from 0.
        steps: how many the stage has at most.
        index: the step in all, from 0.
        planned: how many the schedule has at most.
        raw: each term's values ``[b]``, by name, of the latent before this step's change.
        weighted: the same times their weights.
        total: their sum ``[b]``.
        image: the generated picture that they are of ``[b, 3, R, R]``; None if no term looked at it.
        latent: after the step ``[b, layers, dim]``.
        noises: after the step.
        active: which images moved ``[b]``.
        seconds: time spent in steps so far.
    """

    stage: str
    step: int
    steps: int
    index: int
    planned: int
    raw: Mapping[str, PerSample]
    weighted: Mapping[str, PerSample]
    total: PerSample
    image: Image | None = field(repr=False)
    latent: Latent = field(repr=False)
    noises: tuple[NoiseMap, ...] = field(repr=False)
    active: Bool[Tensor, " b"]
    seconds: float
    _save: Callable[["Step", str | os.PathLike[str]], None] = field(repr=False)
    _result: Callable[["Step"], Result] = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run as it is after this step, to resume from. Atomic; no pickle.

        Raises:
            RunError: if the loop has gone on to another step.
        """
        self._save(self, path)

    def result(self) -> Result:
        """What the run has reached after this step.

        Raises:
            RunError: if the loop has gone on to another step.
        """
        return self._result(self)
