"""What every term has been at every step, while a run goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.schedule import Series, Stage
from maskedit.solve.result import History
from maskedit.terms import Evaluation


@dataclass
class Values:
    """The values of one stage, a column a step; NaN where an image was not moving.

    Attributes:
        raw: each term's, by name ``[b, steps]``.
        weighted: the same times their weights.
        total: their sums.
        evaluations: how often the objective was evaluated for each image.
        done: columns that are filled.
    """

    raw: dict[str, Tensor]
    weighted: dict[str, Tensor]
    total: Tensor
    evaluations: Tensor
    done: int = 0

    def columns(self) -> dict[str, Tensor]:
        """Every tensor by a name, filled columns only."""
        named = {"total": self.total, "evaluations": self.evaluations}
        named |= {f"raw.{name}": value for name, value in self.raw.items()}
        named |= {f"weighted.{name}": value for name, value in self.weighted.items()}
        return {name: value[:, : self.done] for name, value in named.items()}


@dataclass
class Record:
    """The values of all stages so far, by stage name."""

    stages: dict[str, Values] = field(default_factory=dict)

    def begin(self, stage: Stage, like: Tensor) -> Values:
        """Make room for a stage.

        Args:
            stage: which.
            like: a tensor of the batch, for its length, type and device.
        """

        def blank() -> Tensor:
            return torch.full((len(like), stage.steps), float("nan"), dtype=like.dtype, device=like.device)

        raw, weighted = ({name: blank() for name in stage.terms.names} for _ in range(2))
        values = Values(
            raw, weighted, blank(), torch.zeros(len(like), stage.steps, dtype=torch.int64, device=like.device)
        )
        self.stages[stage.name] = values
        return values

    def put(self, stage: Stage, evaluation: Evaluation, moving: Bool[Tensor, " b"]) -> None:
        """One step's values, of the images that move."""
        values = self.stages[stage.name]
        here = values.done

        def shown(value: Tensor) -> Tensor:
            return value.detach().masked_fill(~moving, float("nan"))

        values.total[:, here] = shown(evaluation.total)
        for name in stage.terms.names:
            values.raw[name][:, here] = shown(evaluation.raw[name])
            values.weighted[name][:, here] = shown(evaluation.weighted[name])
        values.evaluations[:, here] = moving
        values.done += 1

    def count(self, stage: Stage, more: Sequence[int]) -> None:
        """Further evaluations of the last step, for each image."""
        if any(more):
            values = self.stages[stage.name]
            values.evaluations[:, values.done - 1] += values.evaluations.new_tensor(list(more))

    def so_far(self, stage: Stage) -> Series:
        """The stage's raw values and totals up to now."""
        values = self.stages[stage.name]
        series = {"total": values.total[:, : values.done]}
        return series | {name: value[:, : values.done] for name, value in values.raw.items()}

    def history(self) -> History:
        """All of it, as a value that the run does not change any more."""
        columns = {stage: {k: v.clone() for k, v in values.columns().items()} for stage, values in self.stages.items()}

        def named(prefix: str) -> Mapping[str, Tensor]:
            return {
                f"{stage}.{name.removeprefix(prefix)}": value
                for stage, values in columns.items()
                for name, value in values.items()
                if name.startswith(prefix)
            }

        return History(
            raw=named("raw."),
            weighted=named("weighted."),
            total=torch.cat([values["total"] for values in columns.values()], dim=1),
            evaluations=torch.cat([values["evaluations"] for values in columns.values()], dim=1),
            stages=tuple((stage, values.done) for stage, values in self.stages.items()),
        )
