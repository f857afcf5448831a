"""The shape half of a generator: a face's points, smooth fields that move everything with them, and coordinates."""

from maskedit.models.geometry.classifier import ShapeClassifier
from maskedit.models.geometry.coordinates import Coordinates, bounds, load_coordinates
from maskedit.models.geometry.network import MeshNet
from maskedit.models.geometry.warp import Warp

__all__ = ["Coordinates", "MeshNet", "ShapeClassifier", "Warp", "bounds", "load_coordinates"]
