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
from maskedit.blending import (
    AddChange,
    Blend,
    Paste,
    Patch,
    Pyramid,
    Redraw,
    Several,
    Tint,
    blend_change,
    blend_paste,
    blend_pyramid,
    blend_redraw,
    blend_tint,
    feather,
)
from maskedit.edit import Edit
from maskedit.errors import CheckpointError, FileError, InputError, MaskeditError, PhotoError, RunError
from maskedit.memory import keep_memory
from maskedit.models.weights.bundled import load
from maskedit.photo import edit_photo
from maskedit.problem import Problem
from maskedit.protocols import Classifier, Encoder, Generator, LatentDistribution, Models, Parser
from maskedit.recipes import Recipe
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
    "AddChange",
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
    "Paste",
    "Patch",
    "PhotoError",
    "Plateau",
    "Problem",
    "Pyramid",
    "Recipe",
    "Redraw",
    "RedrawNoise",
    "Result",
    "RunError",
    "Schedule",
    "Several",
    "Stage",
    "Step",
    "Term",
    "Threshold",
    "Tint",
    "View",
    "attribute",
    "blend_change",
    "blend_paste",
    "blend_pyramid",
    "blend_redraw",
    "blend_tint",
    "edit_photo",
    "feather",
    "functional",
    "keep_memory",
    "latent",
    "latent_prior",
    "load",
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
