"""What the classes of published face parsers are called, in their order, and to which region each belongs.

A parser gives one probability per class. Regions (:data:`maskedit.attributes.REGIONS`) merge classes: both
brows are ``eyebrows``, the mouth's inside and the lips are ``mouth``. Accessories stay regions of their own,
so that no edit of eyes, ears or hair paints over glasses, earrings or a hat.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from maskedit.errors import InputError

RELEASED_LABELS: tuple[str, ...] = (
    "background",
    "mouth",
    "eyebrows",
    "eyes",
    "hair",
    "nose",
    "skin",
    "ears",
    "belowface",
)
"""The nine classes of MaskFaceGAN's released DeepLabV3."""

CELEBAMASK_LABELS: tuple[str, ...] = (
    "background",
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "ear_r",
    "neck_l",
    "neck",
    "cloth",
)
"""CelebAMask-HQ's 19 classes in the order of the dataset's own tools (and of the SegFormers trained on it)."""

BISENET_LABELS: tuple[str, ...] = (
    "background",
    "skin",
    "l_brow",
    "r_brow",
    "l_eye",
    "r_eye",
    "eye_g",
    "l_ear",
    "r_ear",
    "ear_r",
    "nose",
    "mouth",
    "u_lip",
    "l_lip",
    "neck",
    "neck_l",
    "cloth",
    "hair",
    "hat",
)
"""The same 19 classes in the order of face-parsing.PyTorch, the popular BiSeNet port, and of all who use its files."""

REGION_OF_LABEL: Mapping[str, str] = MappingProxyType(
    {
        "belowface": "below_face",
        "neck": "below_face",
        "neck_l": "below_face",  # necklace
        "cloth": "below_face",
        "l_brow": "eyebrows",
        "r_brow": "eyebrows",
        "l_eye": "eyes",
        "r_eye": "eyes",
        "l_ear": "ears",
        "r_ear": "ears",
        "mouth": "mouth",  # between the lips
        "u_lip": "mouth",
        "l_lip": "mouth",
        "eye_g": "eyeglasses",
        "ear_r": "earrings",
    }
)
"""The region of each class whose name is not a region's."""


def merge_labels(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Regions with the labels that make them up; a label that the table does not know is a region of its own.

    >>> merge_labels(["background", "l_eye", "r_eye", "wheels"])
    {'background': ('background',), 'eyes': ('l_eye', 'r_eye'), 'wheels': ('wheels',)}
    """
    regions: dict[str, tuple[str, ...]] = {}
    for label in labels:
        region = REGION_OF_LABEL.get(label, label)
        regions[region] = (*regions.get(region, ()), label)
    return regions


def positions(names: Sequence[str], known: Sequence[str], kind: str) -> list[int]:
    """Where each name stands among the known ones.

    Raises:
        InputError: naming the first that is not there.
    """
    for name in names:
        if name not in known:
            raise InputError(f"no {kind} is called {name!r}", expected=f"one of {', '.join(known)}", actual=repr(name))
    return [list(known).index(name) for name in names]
