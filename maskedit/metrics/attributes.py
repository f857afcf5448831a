"""Whether an edit reached its attribute, and what else it changed, from a classifier's logits before and after.

Ask a classifier that no edit was optimised against: what an edit pleases proves nothing.
"""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.types import Logits, PerSample


def success(after: Float[Tensor, " b"], target: float | int | Float[Tensor, " b"]) -> Bool[Tensor, " b"]:
    """Whether the classifier sees what was wanted: the attribute for a target above 1/2, its absence below.

    Args:
        after: the attribute's logit in the edited picture.
        target: what was wanted, in [0, 1], one for all or one each.
    """
    return (after > 0) == (target > 0.5)


def spill(before: Logits, after: Logits, *, but: Sequence[int]) -> PerSample:
    """The share of the other attributes that the classifier now decides otherwise.

    Args:
        before: logits of the original.
        after: logits of the edited picture.
        but: columns that were to change, or that exclude what was to change (another hair colour).

    Returns:
        ``[b]``, in [0, 1].

    Raises:
        InputError: if no column is left, or one is not there.
    """
    rest = _others(before, after, but)
    return ((before > 0) != (after > 0))[:, rest].to(before.dtype).mean(1)


def moved(before: Logits, after: Logits, *, but: Sequence[int]) -> PerSample:
    """How far the other attributes' probabilities moved, on average: :func:`spill` for changes too small to flip.

    Args:
        before: logits of the original.
        after: logits of the edited picture.
        but: columns to leave out, as in :func:`spill`.

    Returns:
        ``[b]``, in [0, 1].

    Raises:
        InputError: if no column is left, or one is not there.
    """
    rest = _others(before, after, but)
    return (before.sigmoid() - after.sigmoid())[:, rest].abs().mean(1)


def _others(before: Logits, after: Logits, but: Sequence[int]) -> list[int]:
    known = range(before.shape[1])
    if unknown := [column for column in but if column not in known]:
        raise InputError("there is no such attribute", expected=f"0 to {len(known) - 1}", actual=str(unknown[0]))
    rest = [column for column in known if column not in but]
    if not rest:
        raise InputError("no other attribute is left to change", expected="logits of more attributes")
    return rest
