"""The last composition: what is taken from the generated picture, as a patch; one kind a file."""

from maskedit.blending.add_change import AddChange, blend_change
from maskedit.blending.blend import Blend, Several
from maskedit.blending.mask import feather
from maskedit.blending.paste import Paste, blend_paste
from maskedit.blending.patch import Patch
from maskedit.blending.pyramid import Pyramid, blend_pyramid
from maskedit.blending.redraw import Redraw, blend_redraw, redrawn, toned
from maskedit.blending.tint import Tint, blend_tint, tinted

__all__ = [
    "AddChange",
    "Blend",
    "Paste",
    "Patch",
    "Pyramid",
    "Redraw",
    "Several",
    "Tint",
    "blend_change",
    "blend_paste",
    "blend_pyramid",
    "blend_redraw",
    "blend_tint",
    "feather",
    "redrawn",
    "tinted",
    "toned",
]
