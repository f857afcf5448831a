"""The regions of a face, its attributes, and which attribute shows where (Table I of the paper).

The tables are defaults for faces. Any parser may bring other regions and any classifier other attributes:
name the region yourself (``Edit("large_wheels", regions=["wheels"])``) and no table is asked.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from maskedit.errors import InputError

REGIONS: tuple[str, ...] = (
    "background",
    "mouth",
    "eyebrows",
    "eyes",
    "hair",
    "nose",
    "skin",
    "ears",
    "below_face",
)
"""The nine regions of the released parser, in its order."""

HAIR_COLOURS: tuple[str, ...] = ("blond_hair", "brown_hair", "black_hair", "gray_hair")
"""The attributes that dye hair and leave its shape."""

HAIR_SHAPES: tuple[str, ...] = ("straight_hair", "wavy_hair")
"""The attributes that change hair's shape."""

ATTRIBUTE_REGIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{name: ("hair",) for name in HAIR_COLOURS + HAIR_SHAPES},
        "wearing_lipstick": ("mouth",),
        "smiling": ("mouth",),
        "mouth_slightly_open": ("mouth",),
        "bushy_eyebrows": ("eyebrows",),
        "arched_eyebrows": ("eyebrows",),
        "pointy_nose": ("nose",),
        "big_nose": ("nose",),
        "narrow_eyes": ("eyes",),
    }
)
"""Table I: the fourteen attributes and the regions that they change."""


FACE: tuple[str, ...] = ("skin", "mouth", "eyebrows", "eyes", "nose")
"""The regions that make up the face."""

GLOBAL_ATTRIBUTES: tuple[str, ...] = ("young", "male", "pale_skin")
"""Attributes of the whole face (Section F of the paper): edits of them may change all of :data:`FACE`."""


def target_regions(attributes: Iterable[str]) -> tuple[str, ...]:
    """The regions that editing these attributes may change, each once, in order of first need (Table I).

    Raises:
        InputError: if an attribute is neither in Table I nor one of the whole face.
    """
    found: dict[str, None] = {}
    for name in attributes:
        regions = FACE if name in GLOBAL_ATTRIBUTES else ATTRIBUTE_REGIONS.get(name)
        if regions is None:
            raise InputError(
                f"no region is known for the attribute {name!r}",
                expected=f"one of {', '.join((*ATTRIBUTE_REGIONS, *GLOBAL_ATTRIBUTES))}",
                hint='Name its regions yourself: Edit(..., regions=["hair"]).',
            )
        found.update(dict.fromkeys(regions))
    return tuple(found)
