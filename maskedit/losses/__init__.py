"""The formulas as modules: tensors in, one value per image out, no models and no state.

Each is the function of the same name in :mod:`maskedit.functional`, which documents formula, shapes and
errors. They can be used alone, in anybody's loop:

>>> import torch
>>> from maskedit.losses import MaskedMSE
>>> image, mask = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
>>> MaskedMSE()(image, image, mask)
tensor([0., 0.])
"""

from maskedit.losses.component_size import ComponentSizeKL
from maskedit.losses.identity import Identity
from maskedit.losses.latent_prior import LatentPrior
from maskedit.losses.masked_mse import MaskedMSE
from maskedit.losses.noise_autocorrelation import NoiseAutocorrelation
from maskedit.losses.perceptual import MaskedPerceptual
from maskedit.losses.relaxed_masked_mse import RelaxedMaskedMSE
from maskedit.losses.relaxed_shape import RelaxedShapeLoss
from maskedit.losses.semantic_kl import SemanticKL
from maskedit.losses.shape import ShapeLoss

__all__ = [
    "ComponentSizeKL",
    "Identity",
    "LatentPrior",
    "MaskedMSE",
    "MaskedPerceptual",
    "NoiseAutocorrelation",
    "RelaxedMaskedMSE",
    "RelaxedShapeLoss",
    "SemanticKL",
    "ShapeLoss",
]
