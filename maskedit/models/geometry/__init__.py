"""The shape half of a generator: a face's points, smooth fields that move everything with them, and coordinates."""

from maskedit.models.geometry.aim import Aimed, aim
from maskedit.models.geometry.classifier import ShapeClassifier
from maskedit.models.geometry.coordinates import Coordinates, bounds, load_coordinates
from maskedit.models.geometry.generator import ShapedGenerator
from maskedit.models.geometry.insides import Insides, load_insides
from maskedit.models.geometry.network import MeshNet
from maskedit.models.geometry.warp import Warp

__all__ = [
    "Aimed",
    "Coordinates",
    "Insides",
    "MeshNet",
    "ShapeClassifier",
    "ShapedGenerator",
    "Warp",
    "aim",
    "bounds",
    "load_coordinates",
    "load_insides",
]
