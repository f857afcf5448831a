"""An Edit as terms: what it wants to see, in which sizes; and what a recipe cannot do, refused."""

from collections.abc import Iterable

from maskedit.attributes import GLOBAL_ATTRIBUTES
from maskedit.edit import Edit
from maskedit.errors import InputError
from maskedit.terms import Term, attribute, region_size


def looks(
    edit: Edit,
    names: Iterable[str],
    *,
    smoothing: float | int,
    after_blend: bool = False,
) -> Term:
    """The term that asks for these attributes of an edit (Eq. 3).

    Args:
        edit: what is wished for.
        names: some of its attributes.
        smoothing: of the attributes for which the edit leaves it open.
        after_blend: whether the classifier sees the picture as the blend leaves it, or as it was generated.
    """
    chosen, every = tuple(names), dict(zip(edit.attributes, edit.smoothings(smoothing), strict=True))
    return attribute(
        chosen,
        target=[edit.attributes[name] for name in chosen],
        smoothing=[every[name] for name in chosen],
        hold=edit.hold,
        seen_in="blended" if after_blend else "generated",
    )


def sizes(edit: Edit, regions: Iterable[str] | None = None, *, weight: float | int = 1.0) -> list[Term]:
    """The terms that ask for the sizes of an edit (Eq. 5-6): of all its regions, or of these."""
    chosen = edit.size if regions is None else regions
    return [weight * region_size(name, scale=edit.size[name]) for name in chosen]


def check_local(edit: Edit) -> None:
    """Refuse an edit that wishes for nothing, or for the whole face.

    Raises:
        InputError: naming the attribute.
    """
    check_wished(edit)
    for name in GLOBAL_ATTRIBUTES:
        if name in edit.attributes and not edit.says_where:
            raise InputError(
                f"{name!r} is about the whole face, and this recipe edits parts of it",
                hint="Use recipes.global_edit, or say what may change: Edit(..., regions=['skin']).",
            )


def check_wished(edit: Edit) -> None:
    """Refuse an edit that wishes for nothing.

    Raises:
        InputError: if there is no attribute and no size.
    """
    if not edit:
        raise InputError("nothing is to be edited", expected="an attribute such as 'smiling', or a size")
