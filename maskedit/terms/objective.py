"""Term: a loss bound to a view, with a name and a weight. Objective: terms added up.

>>> from maskedit.losses import MaskedMSE
>>> from maskedit.terms import Term
>>> keep = Term("keep", MaskedMSE(), reads=lambda v: (v.image, v.original.image, v.grown))
>>> print(2.0 * keep + 0.5 * keep.named("rest"))
Objective(
  (keep): 2 x MaskedMSE(normalize='image')
  (rest): 0.5 x MaskedMSE(normalize='image')
)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from maskedit.errors import InputError
from maskedit.terms.any_loss import per_image, short_name
from maskedit.terms.rate import Rate, at, product, show_rate
from maskedit.terms.view import Reads, View
from maskedit.types import Image, PerSample


class Term(nn.Module):
    """One weighted constraint: anybody's loss, and what it looks at.

    Args:
        name: unique in its objective; the history calls it ``stage.name``.
        loss: any callable or module. It may return one value for each image (``[b]``, ``[b, 1, 1, 1]``), a map for each
            image (``[b, ...]``, of which the mean is taken), or a single number if the batch is one. A loss that
            averages over a batch is asked picture by picture through :func:`~maskedit.terms.each`.
        reads: picks the loss's arguments from the view: a tensor, or a tuple of arguments; by default the generated
            picture and the input.
        regions: the parser's regions that ``reads`` looks at.
        attributes: the classifier's attributes that ``reads`` looks at.
        extras: what the generator shows beside its picture that ``reads`` looks at, as ``view.extras``.
        needs: what else must be there: ``"latents"`` (a distribution), ``"noise"`` (noise maps), ``"blend"`` (the
            schedule's, for ``view.blended``).
        weight: a number, or a function of the step in its stage.
        changes: the attributes or regions that it is there to change; a run whose blend would leave all of them as
            they were is refused.
        about: what printing the term says that it is about; by default its regions and attributes.

    Raises:
        InputError: if the name cannot be used, or the loss cannot be called.
    """

    def __init__(
        self,
        name: str,
        loss: Callable[..., Any],
        *,
        reads: Callable[[View], Any] | None = None,
        regions: Iterable[str] = (),
        attributes: Iterable[str] = (),
        extras: Iterable[str] = (),
        needs: Iterable[str] = (),
        weight: Rate = 1.0,
        changes: Iterable[str] = (),
        about: str = "",
    ) -> None:
        super().__init__()
        if not isinstance(name, str) or not name or "." in name or name != name.strip():
            raise InputError("a term's name cannot be used", expected="a word without dots", actual=repr(name))
        if isinstance(loss, type) or not callable(loss):
            raise InputError(
                f"the loss of term {name!r} cannot be called",
                expected="a module or a function of tensors",
                actual=loss.__name__ if isinstance(loss, type) else type(loss).__name__,
                hint="Make one of the class: Loss()." if isinstance(loss, type) else "",
            )
        _check_names(name, regions=regions, attributes=attributes, extras=extras, needs=needs, changes=changes)
        self.name, self.loss, self.weight = name, loss, product(1.0, weight)
        self.reads: Callable[[View], Any] = BOTH_PICTURES if reads is None else reads
        self.needs, self.changes = tuple(needs), tuple(changes)
        self.asks = Reads(*(tuple(dict.fromkeys(names)) for names in (regions, attributes, extras)))
        self.about = about or " + ".join(self.asks.regions + self.asks.attributes)

    def forward(self, view: View) -> PerSample:
        """The loss's value per image ``[b]``, before the weight."""
        arguments = self.reads(view)
        value = self.loss(*arguments) if isinstance(arguments, tuple) else self.loss(arguments)
        return per_image(self.name, value, view.latent.shape[0])

    def named(self, name: str) -> "Term":
        """The same term under another name."""
        return self._with(name, self.weight)

    def __mul__(self, factor: Rate) -> "Term":
        """The same term, weighted more: by a number, or by a function of the stage's step."""
        return self._with(self.name, product(self.weight, factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Term":
        return self * (1 / divisor)

    def __neg__(self) -> "Term":
        return self * -1.0

    def __add__(self, other: "Term | Objective") -> "Objective":
        return Objective([self]) + other

    def __sub__(self, other: "Term | Objective") -> "Objective":
        return Objective([self]) - other

    def __radd__(self, nothing: int) -> "Objective":
        return Objective([self])  # sum() begins with 0

    def _with(self, name: str, weight: Rate) -> "Term":
        asks = self.asks
        return Term(
            name,
            self.loss,
            reads=self.reads,
            regions=asks.regions,
            attributes=asks.attributes,
            extras=asks.extras,
            needs=self.needs,
            weight=weight,
            changes=self.changes,
            about=self.about,
        )

    def describe(self) -> str:
        """The loss, and what it is about, in one line."""
        loss = short_name(self.loss)
        return f"{loss} of {self.about}" if self.about else loss

    def __repr__(self) -> str:
        return f"{show_rate(self.weight)} x {self.describe()}"


@dataclass(frozen=True)
class _BothPictures:
    """What a loss of two pictures reads."""

    def __call__(self, view: View) -> tuple[Image, Image]:
        return view.image, view.original.image


BOTH_PICTURES = _BothPictures()
"""The generated picture and the input: what a term reads unless it says otherwise."""


@dataclass(frozen=True)
class Evaluation:
    """What an objective says of one view.

    Args:
        raw: each term's value per image ``[b]``, by name.
        weighted: the same times its weight.
        total: the sum of the weighted ``[b]``.
    """

    raw: Mapping[str, PerSample]
    weighted: Mapping[str, PerSample]
    total: PerSample


class Objective(nn.Module):
    """Terms added up; each name at most once.

    Raises:
        InputError: if two terms share a name.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        names = [term.name for term in terms]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"two terms are named {name!r}", expected="each name once", hint="Rename one: term.named('other')."
                )
        self.terms = nn.ModuleList(terms)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names, in order."""
        return tuple(term.name for term in self)

    @property
    def asks(self) -> Reads:
        """What all terms together ask of parser and classifier."""
        asks = Reads()
        for term in self:
            asks |= term.asks
        return asks

    def forward(self, view: View, step: int = 0) -> Evaluation:
        """Every term's value of this view, with the weights of this step of the stage."""
        raw = {term.name: term(view) for term in self}
        weighted = {term.name: at(term.weight, step) * raw[term.name] for term in self}
        return Evaluation(raw, weighted, torch.stack(list(weighted.values())).sum(dim=0))

    def __iter__(self) -> Iterator[Term]:
        return iter(cast(Iterable[Term], self.terms))

    def __len__(self) -> int:
        return len(self.terms)

    def __add__(self, other: "Term | Objective") -> "Objective":
        return Objective([*self, *([other] if isinstance(other, Term) else other)])

    def __sub__(self, other: "Term | Objective") -> "Objective":
        return self + -other

    def __neg__(self) -> "Objective":
        return self * -1.0

    def __radd__(self, nothing: int) -> "Objective":
        return self  # sum() begins with 0

    def __truediv__(self, divisor: float) -> "Objective":
        return self * (1 / divisor)

    def __mul__(self, factor: Rate) -> "Objective":
        return Objective([factor * term for term in self])

    __rmul__ = __mul__

    def __repr__(self) -> str:
        lines = [f"  ({term.name}): {term!r}" for term in self]
        return "\n".join(["Objective(", *lines, ")"])


def _check_names(term: str, **fields: Iterable[str]) -> None:
    for field, names in fields.items():
        if isinstance(names, str):
            raise InputError(
                f"{field} of term {term!r} is one string", expected="a list of names", hint=f"Write [{names!r}]."
            )
