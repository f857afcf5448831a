"""Networks that can take part in an edit, the bundled ones, and the readers of people's own weights."""

from maskedit.models.adapters import AttributeClassifier, SegmentationParser
from maskedit.models.files.checkpoints import load_state
from maskedit.models.files.generators import generator_from_state, load_generator, save_generator
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.preprocess import Preprocess
from maskedit.models.weights.bundled import load, load_landmarks

__all__ = [
    "AttributeClassifier",
    "Preprocess",
    "SegmentationParser",
    "StyleGAN2",
    "generator_from_state",
    "load",
    "load_generator",
    "load_landmarks",
    "load_state",
    "save_generator",
]
