"""The formulas of the paper as pure functions: tensors in, one value per image out.

Pictures are ``[b, 3, h, w]``, region probabilities ``[b, 1, h, w]`` in [0, 1]. Half-precision inputs are
computed in float32; float64 stays float64. Shapes and dtypes that would broadcast into a silently wrong
number are refused; values are not looked at, so every function works under ``torch.compile``,
``torch.func.vmap`` and autocast. Where paper and released program differ, docs/deviations.md says which
is followed, and so does the function.
"""

from maskedit.losses.component_size import PORTION_MARGIN, component_size_kl
from maskedit.losses.identity import identity_distance
from maskedit.losses.latent_prior import latent_prior
from maskedit.losses.masked_mse import masked_mse
from maskedit.losses.noise_autocorrelation import noise_autocorrelation
from maskedit.losses.normalize_noise import normalize_noise
from maskedit.losses.perceptual import masked_perceptual
from maskedit.losses.relaxed_masked_mse import relax_preserved, relaxed_masked_mse
from maskedit.losses.relaxed_shape import relax_target, relaxed_shape_loss
from maskedit.losses.semantic_kl import semantic_kl
from maskedit.losses.shape import shape_loss

__all__ = [
    "PORTION_MARGIN",
    "component_size_kl",
    "identity_distance",
    "latent_prior",
    "masked_mse",
    "masked_perceptual",
    "noise_autocorrelation",
    "normalize_noise",
    "relax_preserved",
    "relax_target",
    "relaxed_masked_mse",
    "relaxed_shape_loss",
    "semantic_kl",
    "shape_loss",
]
