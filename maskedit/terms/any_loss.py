"""Anybody's loss: asked picture by picture where it averages, its answer as one value for each image."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from maskedit.errors import RunError
from maskedit.types import PerSample


class Each(nn.Module):
    """A loss asked picture by picture; see :func:`each`."""

    def __init__(self, loss: Callable[..., Any]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, *arguments: Any) -> PerSample:
        """One value for each image ``[b]``; tensors are cut along their first dimension."""
        batch = next(len(value) for value in arguments if isinstance(value, Tensor))
        values = []
        for i in range(batch):
            value = self.loss(*(a[i : i + 1] if isinstance(a, Tensor) and len(a) == batch else a for a in arguments))
            values.append(per_image(short_name(self.loss), value, 1))
            if callable(reset := getattr(self.loss, "reset", None)):
                reset()  # torchmetrics sums up over calls
        return torch.cat(values)

    def extra_repr(self) -> str:
        return "" if isinstance(self.loss, nn.Module) else short_name(self.loss)


def each(loss: Callable[..., Any]) -> Each:
    """A loss that averages over its batch, asked picture by picture, exactly: for ``torch.nn``'s and kornia's losses.

    >>> from torch import nn
    >>> each(nn.MSELoss())(torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4))
    tensor([1., 1.])
    """
    return Each(loss)


def per_image(name: str, value: object, batch: int) -> PerSample:
    """What a loss returned, as one value for each image ``[b]``.

    Raises:
        RunError: if it is none, naming the term.
    """
    if isinstance(value, Tensor) and value.is_floating_point():
        if value.ndim >= 1 and len(value) == batch:
            return value if value.ndim == 1 else value.flatten(1).mean(dim=1)
        if value.ndim == 0 and batch == 1:
            return value[None]
    raise RunError(
        f"term {name!r} does not return one value per image",
        expected=f"[{batch}], or a map for each image",
        actual=str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__,
        hint="Ask a loss that averages over the batch picture by picture: me.each(loss)."
        if isinstance(value, Tensor) and value.ndim == 0
        else "Keep the first dimension: x.flatten(1).mean(1).",
    )


def short_name(loss: Callable[..., Any]) -> str:
    """A loss in one line: a module with children by its own name, a function by its name."""
    if isinstance(loss, Each):
        return f"each({short_name(loss.loss)})"
    if isinstance(loss, nn.Module) and any(True for _ in loss.children()):
        return f"{type(loss).__name__}({' '.join(loss.extra_repr().split())})"
    if isinstance(loss, nn.Module):
        return " ".join(repr(loss).split())
    return getattr(loss, "__qualname__", None) or " ".join(repr(loss).split())
