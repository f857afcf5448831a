"""Everything that edits faces behind one call: the paper's method by any recipe, and the rivals it is compared with.

An :class:`Editor` takes aligned pictures and an :class:`~maskedit.edit.Edit` and gives pictures; it says what it can
do, and refuses the rest in a sentence. Tables and studies speak to editors alone.
"""

from maskedit.editors.editor import Capabilities, Edited, Editor, capability_table
from maskedit.editors.interfacegan import InterFaceGAN, conditional, fitted, going_together, walk
from maskedit.editors.labels import ATTGAN_GROUPS, STARGAN_GROUPS, STGAN_GROUPS, present_labels, wanted_labels
from maskedit.editors.maskfacegan import MaskFaceGAN
from maskedit.editors.translators import Translator, attgan, stargan, stgan

__all__ = [
    "ATTGAN_GROUPS",
    "STARGAN_GROUPS",
    "STGAN_GROUPS",
    "Capabilities",
    "Edited",
    "Editor",
    "InterFaceGAN",
    "MaskFaceGAN",
    "Translator",
    "attgan",
    "capability_table",
    "conditional",
    "fitted",
    "going_together",
    "present_labels",
    "stargan",
    "stgan",
    "walk",
    "wanted_labels",
]
