"""From a photo to the aligned square that models know, and back: read, find, align, crop, paste, write."""

from maskedit.photo.align import Alignment, align, crop
from maskedit.photo.files import read, write
from maskedit.photo.paste import paste

__all__ = ["Alignment", "align", "crop", "paste", "read", "write"]
