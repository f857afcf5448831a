"""What somebody wants of a picture: attributes with targets, sizes, what to hold, and where all of it lies.

>>> edit = Edit({"smiling": 0.8, "wearing_lipstick": 0}, size={"mouth": 1.2}, hold=["young"])
>>> edit
Edit({'smiling': 0.8, 'wearing_lipstick': 0}, size={'mouth': 1.2}, hold=['young'])
>>> edit.regions
('mouth',)

Wherever an Edit is asked for, a short form will do: ``"blond_hair"``, ``["smiling", "big_nose"]``,
``{"smiling": 0.7}``.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import SupportsFloat, TypeAlias

from maskedit.attributes import target_regions
from maskedit.errors import InputError
from maskedit.protocols import Models


class Edit:
    """What somebody wants: a frozen value, equal to another that wants the same.

    Args:
        attributes: name -> target in [0, 1]: 1 sets, 0 removes, anything between is a strength. A name or a list of
            names sets them.
        size: region -> alpha: 1.5 asks for half as much again (Eq. 6).
        hold: attributes to keep as they are seen in the input.
        smoothing: the paper's epsilon in [0, 0.5], for all or by attribute; None leaves it to the recipe.
        regions: what may change; by default the regions of the attributes (Table I), and those of ``size``.

    Raises:
        InputError: on targets, sizes or smoothings out of range, names that repeat, or one both edited and held.
    """

    __slots__ = ("_attributes", "_hold", "_regions", "_size", "_smoothing")

    def __init__(
        self,
        attributes: str | Iterable[str] | Mapping[str, SupportsFloat] = (),
        *,
        size: Mapping[str, SupportsFloat] | None = None,
        hold: Iterable[str] = (),
        smoothing: SupportsFloat | Mapping[str, SupportsFloat] | None = None,
        regions: Iterable[str] | None = None,
    ) -> None:
        named = attributes if isinstance(attributes, Mapping) else {name: 1.0 for name in _names(attributes, "edited")}
        self._attributes = {
            name: _number(value, f"the target of {name!r}", "a number in [0, 1]", 0, 1) for name, value in named.items()
        }
        self._size = {
            name: _number(value, f"the size of {name!r}", "a positive number", 1e-3, 1e3)
            for name, value in (size or {}).items()
        }
        self._hold = _names(hold, "held")
        for name in self._hold:
            if name in self._attributes:
                raise InputError(f"{name!r} is both edited and held", expected="one or the other")
        self._smoothing = self._checked_smoothing(smoothing)
        self._regions: tuple[str, ...] | None = None
        if regions is not None:
            self._regions = _names(regions, "to change")
            for name in self._size:
                if name not in self._regions:
                    raise InputError(
                        f"{name!r} is to have another size but may not change",
                        expected=f"one of the regions {', '.join(self._regions)}",
                    )

    @staticmethod
    def of(wish: "Wish") -> "Edit":
        """The Edit that a short form stands for; an Edit itself.

        Raises:
            InputError: if it is neither.
        """
        if isinstance(wish, Edit):
            return wish
        if not isinstance(wish, Iterable):
            raise InputError(
                "that is no edit",
                expected="an Edit, a name, a list of names, or names with targets",
                actual=type(wish).__name__,
            )
        return Edit(wish)

    @property
    def attributes(self) -> Mapping[str, float]:
        """Attribute -> target in [0, 1]."""
        return MappingProxyType(self._attributes)

    @property
    def size(self) -> Mapping[str, float]:
        """Region -> the factor that its share of the picture is to be multiplied by."""
        return MappingProxyType(self._size)

    @property
    def hold(self) -> tuple[str, ...]:
        """The attributes to keep."""
        return self._hold

    @property
    def smoothing(self) -> float | Mapping[str, float] | None:
        """The paper's epsilon: for all, by attribute, or None, which leaves it to the recipe."""
        return MappingProxyType(self._smoothing) if isinstance(self._smoothing, dict) else self._smoothing

    @property
    def regions(self) -> tuple[str, ...]:
        """What may change: the regions that were given, or those of the attributes and of ``size``, each once.

        Raises:
            InputError: if the regions of an attribute are neither given nor in the table.
        """
        if self._regions is not None:
            return self._regions
        return tuple(dict.fromkeys((*target_regions(self._attributes), *self._size)))

    @property
    def says_where(self) -> bool:
        """Whether its regions were given, and no table is asked."""
        return self._regions is not None

    def within(self, regions: Iterable[str]) -> "Edit":
        """The same wish, in these regions."""
        attributes, size, hold, smoothing, _ = self._facts()
        return _again(attributes, size, hold, smoothing, tuple(regions))

    def smoothings(self, default: float | int) -> list[float]:
        """The smoothing of each attribute, in their order, where the edit leaves it open the default."""
        if isinstance(self._smoothing, dict):
            return [self._smoothing.get(name, float(default)) for name in self._attributes]
        return [float(default) if self._smoothing is None else self._smoothing] * len(self._attributes)

    def check(self, models: Models) -> None:
        """Refuse models that lack what the edit names.

        Raises:
            InputError: naming the attribute or region, and the nearest that they have.
        """
        classifier, parser = models.classifier, models.parser
        known = None if classifier is None else tuple(classifier.attributes)
        check_names("attribute", (*self._attributes, *self._hold), "classifier", known)
        known = None if parser is None else tuple(parser.regions)
        check_names("region", self.regions, "parser", known)

    def __bool__(self) -> bool:
        """Whether anything is wished for by name."""
        return bool(self._attributes or self._size)

    def __eq__(self, other: object) -> bool:
        return self._facts() == other._facts() if isinstance(other, Edit) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._attributes.items()) | frozenset(self._size.items()))

    def __reduce__(self) -> tuple[object, ...]:
        return _again, self._facts()

    def __repr__(self) -> str:
        parts = [_shown(self._attributes)] if self._attributes else []
        parts += [f"size={_shown(self._size)}"] if self._size else []
        parts += [f"hold={list(self._hold)}"] if self._hold else []
        if self._smoothing is not None:
            shown = _shown(self._smoothing) if isinstance(self._smoothing, dict) else _short(self._smoothing)
            parts.append(f"smoothing={shown}")
        parts += [f"regions={list(self._regions)}"] if self._regions is not None else []
        return f"Edit({', '.join(parts)})"

    def _facts(self) -> "_Facts":
        return self._attributes, self._size, self._hold, self._smoothing, self._regions

    def _checked_smoothing(
        self, smoothing: SupportsFloat | Mapping[str, SupportsFloat] | None
    ) -> float | dict[str, float] | None:
        if smoothing is None:
            return None
        if not isinstance(smoothing, Mapping):
            return _number(smoothing, "the smoothing", "a number in [0, 0.5]", 0, 0.5)
        for name in smoothing:
            if name not in self._attributes:
                raise InputError(
                    f"{name!r} has a smoothing but is not edited",
                    expected=f"one of {', '.join(self._attributes) or 'no name at all'}",
                )
        return {
            name: _number(value, f"the smoothing of {name!r}", "a number in [0, 0.5]", 0, 0.5)
            for name, value in smoothing.items()
        }


Wish: TypeAlias = Edit | str | Iterable[str] | Mapping[str, float | int]
"""An Edit, or a short form of one: a name, a list of names, names with targets."""


def check_names(kind: str, names: Iterable[str], role: str, known: tuple[str, ...] | None) -> None:
    """Refuse names that a model does not know.

    Args:
        kind: what they are the names of, such as ``"attribute"``.
        names: the names.
        role: which model is asked, such as ``"classifier"``.
        known: the names that it knows; None if there is no such model.

    Raises:
        InputError: with the nearest name.
    """
    for name in names:
        if known is None:
            raise InputError(f"{kind} {name!r} needs a {role}", actual=f"models.{role} is None")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InputError(
                f"the {role} has no {kind} {name!r}",
                expected=f"one of {', '.join(known)}",
                hint=f"Did you mean {near[0]!r}?" if near else "",
            )


def _names(names: str | Iterable[str], what: str) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(names)
    for name in found:
        if not isinstance(name, str) or not name:
            raise InputError(f"what is {what} has no name", expected="a word, such as 'mouth'", actual=repr(name))
        if found.count(name) > 1:
            raise InputError(f"{name!r} is named twice", expected="each name once")
    return found


def _number(value: SupportsFloat, what: str, expected: str, low: float | int, high: float | int) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not low <= number <= high:
        raise InputError(f"{what} is out of range", expected=expected, actual=repr(value))
    return number


def _shown(values: Mapping[str, float]) -> str:
    return "{" + ", ".join(f"{name!r}: {_short(value)}" for name, value in values.items()) + "}"


def _short(value: float) -> str:
    return repr(value).removesuffix(".0")


_Facts: TypeAlias = tuple[
    dict[str, float], dict[str, float], tuple[str, ...], float | dict[str, float] | None, tuple[str, ...] | None
]
"""Attributes, size, hold, smoothing, regions."""


def _again(
    attributes: dict[str, float],
    size: dict[str, float],
    hold: tuple[str, ...],
    smoothing: float | dict[str, float] | None,
    regions: tuple[str, ...] | None,
) -> Edit:
    """The Edit of these facts."""
    return Edit(attributes, size=size, hold=hold, smoothing=smoothing, regions=regions)
