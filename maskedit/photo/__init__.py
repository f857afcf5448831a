"""From a photo to the aligned square that models know, and back: read, find, align, crop, paste, write."""

from maskedit.photo.alignment import Alignment, align, crop
from maskedit.photo.editing import Edited, edit_photo, editable
from maskedit.photo.files import read, write
from maskedit.photo.find import Finder, find_face, find_faces
from maskedit.photo.pasting import paste

__all__ = [
    "Alignment",
    "Edited",
    "Finder",
    "align",
    "crop",
    "edit_photo",
    "editable",
    "find_face",
    "find_faces",
    "paste",
    "read",
    "write",
]
