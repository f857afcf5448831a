"""What the tests of editors share: a classifier that sees what it is told to."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Seeing:
    """Says of any picture what it was told to say: 1 or 0 for each attribute, one a picture."""

    def __init__(self, seen: Mapping[str, Sequence[float]]) -> None:
        self.seen = seen

    @property
    def attributes(self) -> tuple[str, ...]:
        return tuple(self.seen)

    def classify(self, image: Tensor, attributes: Sequence[str]) -> Tensor:
        values = torch.tensor([self.seen[name] for name in attributes]).T
        return (2 * values - 1).to(image.dtype)
