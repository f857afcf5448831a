"""A step as callbacks see it, and a history."""

import torch

from maskedit.solve import History, Step


def step(position: int, *, stages: tuple[tuple[str, int], ...] = (("fit", 3), ("edit", 2)), **changes: object) -> Step:
    """The step that comes at ``position`` when no stage stops early."""
    before, (stage, steps), *others = 0, *stages
    while position >= before + steps:
        before, (stage, steps), *others = before + steps, *others
    values = {"preserve": torch.tensor([0.5, 1.5]), "smiling": torch.tensor([0.25, 0.25])}
    facts = {
        "stage": stage,
        "step": position - before,
        "steps": steps,
        "index": position,
        "planned": sum(steps for _, steps in stages),
        "raw": values,
        "weighted": values,
        "total": torch.tensor([0.75, 1.75]),
        "image": torch.full((2, 3, 8, 8), position / 10),
        "given": {"latent": torch.zeros(2, 4, 6)},
        "active": torch.tensor([True, True]),
        "seconds": 0.1 * position,
    }
    return Step(**{**facts, **changes})


def history() -> History:
    weighted = {
        "fit.preserve": torch.tensor([[1.0, 0.5, 0.25], [1.0, 0.5, torch.nan]]),
        "edit.preserve": torch.tensor([[0.2, 0.2], [0.2, 0.2]]),
        "edit.smiling": torch.tensor([[0.1, 0.0], [0.1, 0.0]]),
    }
    return History(weighted, weighted, torch.rand(2, 5), torch.ones(2, 5, dtype=torch.int64), (("fit", 3), ("edit", 2)))
