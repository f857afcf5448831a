"""Networks that can take part in an edit, and the bundled ones."""

from maskedit.models.bundled import load, load_landmarks

__all__ = ["load", "load_landmarks"]
