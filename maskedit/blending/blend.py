"""Blend: what every kind has in common. Several: more than one, each for regions of its own.

A kind of your own is a frozen dataclass with a ``patch``; it is checked, printed and run like those here:

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True, kw_only=True)
... class Darken(Blend):
...     by: float = 0.1
...
...     def patch(self, generated, fitted, original, mask):
...         return Patch(mask, -self.by + 0 * original, 0 * mask)
>>> print(Darken(preserve=()))
blend (darken by 0.1, preserving nothing, target of the input)
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from maskedit.blending.mask import feather
from maskedit.blending.patch import Patch
from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.types import Image, Mask


@dataclass(frozen=True, kw_only=True)
class Blend(ABC):
    """How a schedule ends: what is taken from the generated picture, and where.

    The mask is ``S_preserve(I) + S_target(I)`` (Eq. 12), from the input's own masks, unrelaxed.

    Args:
        regions: the target's regions; None is those that the problem's edit may change.
        preserve: the preserved regions that belong to the mask.
        target_from: take the target's mask from the input (``"original"``), or from the generated picture
            (``"generated"``), for edits of hair shape.
        softness: how far the mask's edge is softened inwards, in pixels of the generator.

    Raises:
        InputError: on an unknown source, or a negative softness.
    """

    regions: tuple[str, ...] | None = None
    preserve: tuple[str, ...] = ("skin",)
    target_from: Literal["original", "generated"] = "original"
    softness: int = 0

    since: ClassVar[str | None] = None
    """The stage at whose end the picture counts as fitted, for kinds that need it; None is the start."""
    needs_fitted: ClassVar[bool] = False
    """Whether the picture before the edit takes part."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "preserve", tuple(self.preserve))
        if self.regions is not None:
            object.__setattr__(self, "regions", tuple(self.regions))
        if self.target_from not in ("original", "generated"):
            raise InputError(
                "unknown source of the mask", expected="'original' or 'generated'", actual=repr(self.target_from)
            )
        if not isinstance(self.softness, int) or self.softness < 0:
            raise InputError("softness is not a width", expected="0 or more whole pixels", actual=str(self.softness))

    @abstractmethod
    def patch(self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask) -> Patch:
        """What is taken, of the generated picture's size.

        Args:
            generated: the generated picture ``[b, 3, h, w]``.
            fitted: the one before the edit ``[b, 3, h, w]``; None for kinds that do not need it.
            original: ``[b, 3, H, W]``, no smaller.
            mask: ``[b, 1, h, w]`` in [0, 1].
        """

    @property
    def parts(self) -> "tuple[Blend, ...]":
        """The blends that this is made of: itself."""
        return (self,)

    def target(self, problem: Problem) -> tuple[str, ...]:
        """The regions that this changes beside those that it preserves."""
        return problem.regions if self.regions is None else self.regions

    def mask(self, preserved: Mask, target: Mask) -> Mask:
        """The blending mask ``[b, 1, h, w]`` from those of the two regions."""
        return feather((preserved + target).clamp(0, 1), self.softness)

    def check(self, problem: Problem) -> None:
        """Refuse a problem whose edit may not change what this takes.

        Raises:
            InputError: naming the region.
        """
        for name in self.regions or ():
            if name not in problem.regions:
                raise InputError(
                    f"the blend takes the {name}, which the problem's edit may not change",
                    expected=f"one of {', '.join(problem.regions) or 'no region'}",
                )

    def __call__(
        self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask
    ) -> Float[Tensor, "b 3 H W"]:
        """The blended picture ``[b, 3, H, W]``."""
        return self.patch(generated, fitted, original, mask).onto(original)

    def __str__(self) -> str:
        return f"blend ({self.describe()})"

    def describe(self) -> str:
        """The kind, and all that was chosen of it, in one line."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _SHARED}
        words = [re.sub(r"(?<=.)(?=[A-Z])", " ", type(self).__name__).lower()]
        words += [f"{name} {value}" for name, value in own.items()]
        source = "of the generated picture" if self.target_from == "generated" else "of the input"
        parts = [" ".join(words), f"preserving {' + '.join(self.preserve) or 'nothing'}"]
        parts.append(f"target {source}" if self.regions is None else f"{' + '.join(self.regions)} {source}")
        parts += [f"softened by {self.softness} px"] if self.softness else []
        parts += [f"the change since {self.since or 'the start'}"] if self.needs_fitted else []
        return ", ".join(parts)


_SHARED = ("regions", "preserve", "target_from", "softness", "since")


class Several:
    """Several blends, laid one upon another in their order; each has regions of its own.

    Args:
        parts: at least two.

    Raises:
        InputError: if there are fewer, two take the same region in the same way, or count their change from
            different stages.
    """

    __slots__ = ("_parts",)

    def __init__(self, *parts: Blend) -> None:
        if len(parts) < 2:
            raise InputError("Several() is not several", expected="two blends or more", actual=str(len(parts)))
        if len({part.since for part in parts if part.needs_fitted}) > 1:
            raise InputError("the blends count their changes from different stages", expected="one stage for all")
        if any(part.regions is None for part in parts):
            raise InputError("a blend among several names no regions", expected="Tint(regions=['hair']), ...")
        for i, part in enumerate(parts):
            if part in parts[:i]:
                raise InputError("two of several blends are the same", expected="each once", actual=str(part))
        self._parts = parts

    @property
    def parts(self) -> tuple[Blend, ...]:
        """The blends, in order."""
        return self._parts

    @property
    def since(self) -> str | None:
        """The stage from whose end changes are counted; None is the start."""
        return next((part.since for part in self._parts if part.needs_fitted), None)

    @property
    def needs_fitted(self) -> bool:
        """Whether the picture before the edit takes part."""
        return any(part.needs_fitted for part in self._parts)

    @property
    def preserve(self) -> tuple[str, ...]:
        """The preserved regions that some of them take."""
        return tuple(dict.fromkeys(name for part in self._parts for name in part.preserve))

    def target(self, problem: Problem) -> tuple[str, ...]:
        """The regions that they change beside those that they preserve."""
        return tuple(dict.fromkeys(name for part in self._parts for name in part.target(problem)))

    def check(self, problem: Problem) -> None:
        """Refuse a problem whose edit may not change what one of them takes.

        Raises:
            InputError: naming the region.
        """
        for part in self._parts:
            part.check(problem)

    def __eq__(self, other: object) -> bool:
        return self._parts == other._parts if isinstance(other, Several) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._parts)

    def __str__(self) -> str:
        return f"blend ({'; '.join(part.describe() for part in self._parts)})"

    def __repr__(self) -> str:
        return f"Several({', '.join(map(repr, self._parts))})"
