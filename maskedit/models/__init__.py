"""Networks that can take part in an edit, the bundled ones, and the readers of people's own weights."""

from maskedit.models.adapters import AttributeClassifier, SegmentationParser
from maskedit.models.files.checkpoints import load_state
from maskedit.models.files.encoder_files import load_encoder
from maskedit.models.files.generators import generator_from_state, load_generator, save_generator
from maskedit.models.files.own_models import load_models
from maskedit.models.networks.inception import FIDInception
from maskedit.models.networks.ir_se50 import FaceIdentity
from maskedit.models.networks.lpips import LPIPS
from maskedit.models.networks.psp import PSP
from maskedit.models.networks.restyle import ReStyle
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.preprocess import Preprocess
from maskedit.models.weights.bundled import load, load_landmarks

__all__ = [
    "LPIPS",
    "PSP",
    "AttributeClassifier",
    "FIDInception",
    "FaceIdentity",
    "Preprocess",
    "ReStyle",
    "SegmentationParser",
    "StyleGAN2",
    "generator_from_state",
    "load",
    "load_encoder",
    "load_generator",
    "load_landmarks",
    "load_models",
    "load_state",
    "save_generator",
]
