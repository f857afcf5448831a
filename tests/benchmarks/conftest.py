"""The drawn faces and labels of the trainings' tests."""

from tests.training.conftest import drawn_faces, drawn_labels

__all__ = ["drawn_faces", "drawn_labels"]
