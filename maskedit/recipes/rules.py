"""What each attribute needs of :func:`~maskedit.recipes.plausible`: what moves, how freely, and how it is blended.

Print the table:

>>> print(RULES["blond_hair"])
64 components, lr 0.05; keep 5, prior 0.002, smoothing 0.01, seen after the blend; tint
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from maskedit.attributes import HAIR_COLOURS, HAIR_SHAPES
from maskedit.blending import AddChange, Redraw, Tint
from maskedit.blending.blend import Blend


@dataclass(frozen=True)
class Rule:
    """How one kind of attribute is edited.

    Args:
        blend: how its change is taken; the regions are the attributes'.
        components: how many principal components the edit moves along; None is the attributes' own directions.
        rate: the latent's learning rate.
        keep: weight of what is to stay as it is.
        prior: weight of the distance from latents of real faces.
        smoothing: the paper's epsilon, where the edit leaves it open.
        after_blend: the classifier sees the picture as the blend leaves it, so that what the blend takes away is made
            up for.
    """

    blend: Blend
    components: int | None = 64
    rate: float = 0.03
    keep: float = 5.0
    prior: float = 0.05
    smoothing: float = 0.01
    after_blend: bool = True

    def __str__(self) -> str:
        moves = "own directions" if self.components is None else f"{self.components} components"
        seen = ", seen after the blend" if self.after_blend else ""
        return (
            f"{moves}, lr {self.rate:g}; keep {self.keep:g}, prior {self.prior:g}, smoothing {self.smoothing:g}{seen}; "
            + self.blend.describe().split(",")[0]
        )


DYE = Rule(Tint(preserve=(), softness=1, since="fit"), rate=0.05, prior=0.002)
"""A dye is even, on hair and on lips, and spares the teeth between them."""

STRANDS = Rule(AddChange(preserve=(), softness=1, since="fit"), rate=0.05, prior=0.002)
"""Hair shapes are drawn, in strands; a colour that is wished for with them comes along."""

LINES = Rule(Redraw(softness=1, since="fit"))
"""What changes its shape changes the skin around it, and leaves no detail of the photo in place."""

FEATURES = replace(LINES, components=24)
"""Mouth and nose, which more components draw in lumps."""

OWN = replace(LINES, components=None, keep=0.05, prior=0.01, smoothing=0.03, after_blend=False)
"""Along components, a smile that satisfies the classifier glows, and arched brows are a pale band. Along the
direction the rest of the face comes along, and is not taken. Of others that were tried it does too little."""

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **{name: DYE for name in HAIR_COLOURS},
        **{name: STRANDS for name in HAIR_SHAPES},
        "wearing_lipstick": DYE,
        "smiling": OWN,
        "mouth_slightly_open": FEATURES,
        "bushy_eyebrows": LINES,
        "arched_eyebrows": OWN,
        "pointy_nose": FEATURES,
        "big_nose": FEATURES,
        "narrow_eyes": LINES,
    }
)
"""Attribute -> its rule."""

WEAKER: Mapping[str, Rule] = MappingProxyType({"smiling": FEATURES})
"""Attribute -> its rule for targets of at most 0.5: against its direction a smile does not go."""

SIZES: Mapping[str, Rule] = MappingProxyType({"mouth": FEATURES, "nose": FEATURES, "hair": STRANDS})
"""Region -> the rule for another size of it; :data:`LINES` for all others."""


def rule_of(name: str, target: float) -> Rule:
    """The rule for an attribute at this target; :data:`LINES` for those that the table does not know."""
    if target <= 0.5 and name in WEAKER:
        return WEAKER[name]
    return RULES.get(name, LINES)
