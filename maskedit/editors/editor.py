"""What everything that edits pictures offers: one call, and a frank list of what it can do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from maskedit.edit import Edit, check_names
from maskedit.errors import InputError
from maskedit.types import Image


@dataclass(frozen=True)
class Capabilities:
    """What an editor can do; what it cannot, it refuses.

    Args:
        attributes: what it can change, by name.
        removal: whether it can take an attribute away.
        several: whether it can change several at once.
        strength: whether targets between 0 and 1 mean something to it.
        size: whether it can scale a region.
        hold: whether it can be told which attributes to keep.
        resolution: side in pixels at which it draws.
    """

    attributes: tuple[str, ...]
    removal: bool
    several: bool
    strength: bool
    size: bool
    hold: bool
    resolution: int

    def check(self, name: str, edit: Edit) -> None:
        """Refuse an edit that is beyond this editor.

        Args:
            name: of the editor.
            edit: what is wanted.

        Raises:
            InputError: saying which part of the edit, and what would be possible.
        """
        check_names("attribute", edit.attributes, name, self.attributes)
        if edit.hold and not self.hold:
            raise InputError(f"{name} cannot be told what to hold", actual=", ".join(edit.hold))
        if edit.size and not self.size:
            raise InputError(f"{name} cannot change sizes", expected="an edit without size", actual=repr(edit))
        targets = tuple(edit.attributes.values())
        if len(targets) > 1 and not self.several:
            raise InputError(
                f"{name} changes one attribute at a time", expected="one", actual=", ".join(edit.attributes)
            )
        if not self.strength and (odd := [target for target in targets if target not in (0, 1)]):
            raise InputError(f"{name} knows no strength", expected="targets of 0 or 1", actual=str(odd[0]))
        if not self.removal and any(target < 0.5 for target in targets):
            raise InputError(f"{name} cannot remove an attribute", expected="a target above 1/2", actual=repr(edit))


@dataclass(frozen=True, eq=False)
class Edited:
    """What an editor made of a batch of pictures.

    Args:
        images: the edited pictures ``[b, 3, h, w]`` in [0, 1], of the input's size.
        capabilities: what the editor can do and what not.
        seconds: that it took, for the whole batch.
    """

    images: Image
    capabilities: Capabilities
    seconds: float


@runtime_checkable
class Editor(Protocol):
    """Turns aligned faces and an Edit into edited faces: the paper's method by any recipe, its rivals, yours."""

    @property
    def name(self) -> str:
        """What to call it in tables."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def edit(self, images: Image, edit: Edit, seeds: Sequence[int]) -> Edited:
        """Edit a batch.

        Args:
            images: ``[b, 3, h, w]`` in [0, 1], faces aligned as the editor's models expect.
            edit: what is wanted of each.
            seeds: one for each picture; an editor that draws no random numbers leaves them alone.

        Raises:
            InputError: if the edit is beyond the editor.
        """
        ...


def capability_table(editors: Iterable[Editor]) -> str:
    """What each editor can do, as a Markdown table: made of what they say of themselves."""
    head = ("editor", "attributes", "removal", "several at once", "strength", "size", "hold", "resolution")
    rows = [head, ("---",) * len(head)]
    for editor in editors:
        can = editor.capabilities
        flags = ("yes" if flag else "no" for flag in (can.removal, can.several, can.strength, can.size, can.hold))
        rows.append((editor.name, str(len(can.attributes)), *flags, f"{can.resolution} px"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
