"""Losses and optimisers for masked GAN latent-code optimisation: MaskFaceGAN as composable parts."""

import os

if os.environ.get("MASKEDIT_TYPECHECK") == "1":  # every shape and type checked, at about 50 us a call
    from jaxtyping import install_import_hook

    install_import_hook("maskedit", "beartype.beartype")

from maskedit import functional, losses, recipes
from maskedit.attributes import (
    ATTRIBUTE_REGIONS,
    FACE,
    GLOBAL_ATTRIBUTES,
    HAIR_COLOURS,
    HAIR_SHAPES,
    REGIONS,
    target_regions,
)
from maskedit.blending import Blend, blend, blend_change, blend_pyramid, blend_redraw, blend_tint, feather
from maskedit.edit import Edit
from maskedit.errors import CheckpointError, FileError, InputError, MaskeditError, PhotoError, RunError
from maskedit.memory import keep_memory
from maskedit.models.files.encoder_files import load_encoder
from maskedit.models.weights.bundled import load
from maskedit.problem import Problem
from maskedit.protocols import Classifier, Encoder, Generator, LatentDistribution, Models, Parser
from maskedit.report import progress
from maskedit.schedule import (
    Change,
    GrowTarget,
    Moment,
    NormalizeNoise,
    Plateau,
    RedrawNoise,
    Schedule,
    Stage,
    Threshold,
    latent,
    noise,
    unchanged,
)
from maskedit.solve import History, Result, Step, run, steps
from maskedit.terms import (
    Objective,
    Term,
    View,
    attribute,
    identity,
    latent_prior,
    perceptual,
    preserve,
    region_size,
    shape,
    white_noise,
)

__version__ = "0.1.0"

__all__ = [
    "ATTRIBUTE_REGIONS",
    "FACE",
    "GLOBAL_ATTRIBUTES",
    "HAIR_COLOURS",
    "HAIR_SHAPES",
    "REGIONS",
    "Blend",
    "Change",
    "CheckpointError",
    "Classifier",
    "Edit",
    "Encoder",
    "FileError",
    "Generator",
    "GrowTarget",
    "History",
    "InputError",
    "LatentDistribution",
    "MaskeditError",
    "Models",
    "Moment",
    "NormalizeNoise",
    "Objective",
    "Parser",
    "PhotoError",
    "Plateau",
    "Problem",
    "RedrawNoise",
    "Result",
    "RunError",
    "Schedule",
    "Stage",
    "Step",
    "Term",
    "Threshold",
    "View",
    "attribute",
    "blend",
    "blend_change",
    "blend_pyramid",
    "blend_redraw",
    "blend_tint",
    "feather",
    "functional",
    "identity",
    "keep_memory",
    "latent",
    "latent_prior",
    "load",
    "load_encoder",
    "losses",
    "noise",
    "perceptual",
    "preserve",
    "progress",
    "recipes",
    "region_size",
    "run",
    "shape",
    "steps",
    "target_regions",
    "unchanged",
    "white_noise",
]
