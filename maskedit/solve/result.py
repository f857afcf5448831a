"""What a run gives: a Step while it goes, a Result with its History when it ends."""

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskedit.blending import Patch
from maskedit.errors import RunError
from maskedit.types import Image, Latent, Mask, NoiseMap, PerSample

if TYPE_CHECKING:
    from maskedit.solve.loop import Loop


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """Every term's value at every step; NaN where an image was not moving.

    Args:
        raw: by ``"stage.term"``, before the weight ``[b, t]``, ``t`` the steps done in that stage.
        weighted: the same times its weight.
        total: the sum of the weighted, over all stages ``[b, t]``.
        evaluations: how often each image's objective was evaluated in each step ``[b, t]``: once, or more often where
            the optimiser asks.
        stages: name and steps done of each stage, in order.
    """

    raw: Mapping[str, Float[Tensor, "b _"]]
    weighted: Mapping[str, Float[Tensor, "b _"]]
    total: Float[Tensor, "b t"]
    evaluations: Int[Tensor, "b t"]
    stages: tuple[tuple[str, int], ...]

    def __repr__(self) -> str:
        return f"History({', '.join(f'{name}: {steps} steps' for name, steps in self.stages)}; {', '.join(self.raw)})"


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The end of a run.

    Args:
        image: the blended pictures ``[b, 3, H, W]`` in the problem's range, not clamped. The input, where no finite one
            was found.
        original: the input ``[b, 3, H, W]``.
        generated: the generator's last pictures ``[b, 3, R, R]``.
        fitted: the generated pictures when the change of the blend began; None for other blends.
        latent: ``[b, *latent]``.
        noises: maps ``[b, 1, h_i, w_i]``.
        moved: everything that was drawn from, by what moves it: ``"latent"``, ``"features"``, ``"pixels"``, ... a
            tensor ``[b, ...]`` each; ``"noise"`` and ``"styles"`` a tuple of them; ``"weights"`` a mapping by name.
        masks: ``"preserve"`` as last relaxed, ``"target"`` of the input, ``"blend"``, each ``[b, 1, H, W]``;
            empty without a blend.
        patches: what the blend laid upon the input, in order; see :class:`~maskedit.blending.Patch`.
        history: every term at every step.
        status: one sentence per image.
        frozen: images that were frozen because something was not finite ``[b]``.
        seeds: one per image.
        seconds: time spent in steps.
    """

    image: Image
    original: Image
    generated: Image
    fitted: Image | None
    latent: Latent
    noises: tuple[NoiseMap, ...]
    moved: Mapping[str, Any]
    masks: Mapping[str, Mask]
    patches: tuple[Patch, ...]
    history: History
    status: tuple[str, ...]
    frozen: Bool[Tensor, " b"]
    seeds: tuple[int, ...]
    seconds: float

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file, whole or not at all; :func:`load_result` reads it back.

        Raises:
            FileError: if the file cannot be written.
        """
        from maskedit.solve.result_file import save_result

        save_result(self, path)

    def __repr__(self) -> str:
        return f"Result({len(self.image)} images, {self.seconds:.1f} s, {self.history!r}, status {self.status})"

    def _repr_html_(self) -> str:
        figures = (
            f"{_inline(before)} {_inline(after)}<figcaption>before, after: {escape(said)}</figcaption>"
            for before, after, said in zip(self.original, self.image, self.status, strict=True)
        )
        return "".join(f"<figure style='display:inline-block;margin:4px'>{inside}</figure>" for inside in figures)


@dataclass(frozen=True, eq=False)
class Step:
    """One step that was done. What callbacks and ``for step in steps(...)`` see.

    Args:
        stage: the stage's name.
        step: the step in it, from 0.
        steps: how many the stage has at most.
        index: the step in all, from 0.
        planned: how many the schedule has at most.
        raw: each term's values ``[b]``, by name, of what was drawn from before this step's change.
        weighted: the same times their weights.
        total: their sum ``[b]``.
        image: the generated picture that they are of ``[b, 3, H, W]``; None if no term looked at it.
        given: what will be drawn from after the step, by name, each ``[b, ...]``.
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
    given: Mapping[str, Tensor] = field(repr=False)
    active: Bool[Tensor, " b"]
    seconds: float
    _loop: "Loop | None" = field(default=None, repr=False)

    @property
    def latent(self) -> Latent:
        """After the step ``[b, *latent]``."""
        return self.given["latent"]

    @property
    def noises(self) -> tuple[NoiseMap, ...]:
        """The maps after the step ``[b, 1, h_i, w_i]``."""
        return tuple(self.given[f"noise.{i}"] for i in range(sum(name.startswith("noise.") for name in self.given)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run as it is after this step, to resume from. Atomic; no pickle.

        Raises:
            RunError: if the loop has gone on to another step.
            CheckpointError: if the file cannot be written.
        """
        self._running().save(path)

    def result(self) -> Result:
        """What the run has reached after this step.

        Raises:
            RunError: if the loop has gone on to another step.
        """
        return self._running().result()

    def _running(self) -> "Loop":
        if self._loop is None:
            raise RunError("this step is a copy, away from its run", hint="Save, or take the result, where it runs.")
        if self.index != self._loop.state.index - 1:
            raise RunError(
                f"the loop has gone on from step {self.index} to step {self._loop.state.index - 1}",
                hint="Save, or take the result, before asking for the next step.",
            )
        return self._loop

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loop": None, "raw": dict(self.raw), "weighted": dict(self.weighted)}


def by_mover(given: Mapping[str, Tensor]) -> dict[str, Any]:
    """Values by what moves them: ``noise.0``, ``noise.1`` as a tuple, ``features.8`` alone, ``weights.a`` by name."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in given.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    moved: dict[str, Any] = {}
    for group, values in groups.items():
        if group == "weights":
            moved[group] = values
        elif group in ("noise", "styles"):
            moved[group] = tuple(values[key] for key in sorted(values, key=int))
        else:
            moved[group] = next(iter(values.values())) if len(values) == 1 else values
    return moved


def _inline(image: Float[Tensor, "3 h w"]) -> str:
    """A picture as an HTML image that carries its own bytes."""
    from PIL import Image as pil

    values = (image.detach().clamp(0, 1) * 255).round().byte().cpu()
    buffer = io.BytesIO()
    pil.fromarray(values.permute(1, 2, 0).contiguous().numpy()).save(buffer, "PNG")
    return f"<img style='width:192px' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"
