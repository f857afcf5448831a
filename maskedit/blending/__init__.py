"""The last composition: what is taken from the generated picture, and how its edge is made."""

from maskedit.blending.blend import (
    Blend,
    blend,
    blend_change,
    blend_pyramid,
    blend_redraw,
    blend_tint,
    feather,
    redrawn,
    tinted,
    toned,
)

__all__ = [
    "Blend",
    "blend",
    "blend_change",
    "blend_pyramid",
    "blend_redraw",
    "blend_tint",
    "feather",
    "redrawn",
    "tinted",
    "toned",
]
