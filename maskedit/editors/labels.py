"""The labels that translating networks are told: those that a picture has, and those that are wanted.

A change may bring others with it: who gets blond hair has no black hair any more. Which exclude one another is the
method's own; the groups here are those of the released programs.
"""

from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.edit import check_names
from maskedit.protocols import Classifier
from maskedit.types import Image

Groups = Collection[Collection[str]]
"""Attributes of which a face has at most one, group by group."""

STARGAN_GROUPS: Groups = (("black_hair", "blond_hair", "brown_hair", "gray_hair"),)
STGAN_GROUPS: Groups = (
    *STARGAN_GROUPS,
    ("bald", "bangs"),
    ("receding_hairline", "bangs"),
    ("straight_hair", "wavy_hair"),
)
ATTGAN_GROUPS: Groups = (*STGAN_GROUPS, ("mustache", "no_beard"))


def present_labels(classifier: Classifier, images: Image, names: Sequence[str]) -> Float[Tensor, "b attributes"]:
    """What the classifier sees in the pictures, as 0 and 1.

    Raises:
        InputError: if the classifier does not know one of the attributes.
    """
    check_names("attribute", names, "classifier", tuple(classifier.attributes))
    with torch.no_grad():
        return (classifier.classify(images, names) > 0).to(images.dtype)


def wanted_labels(
    labels: Float[Tensor, "b attributes"], names: Sequence[str], targets: Mapping[str, float], groups: Groups
) -> Float[Tensor, "b attributes"]:
    """The labels with some attributes at their targets, and 0 for what those exclude that are now present.

    Args:
        labels: what there is.
        names: of the columns.
        targets: attribute -> wanted label in [0, 1].
        groups: which exclude one another.
    """
    wanted = labels.clone()
    for name, target in targets.items():
        if target > 0.5:
            excluded = {other for group in groups if name in group for other in group} - set(targets)
            wanted[:, [i for i, other in enumerate(names) if other in excluded]] = 0
        wanted[:, names.index(name)] = target
    return wanted
