"""What can be measured of pictures: pure functions, tensors in, numbers out, no models of their own.

Which networks see the pictures is the caller's affair, and belongs beside every number: distances in the features of
one network do not compare with distances in another's. Nothing here averages over a dataset for you, except where the
number is one of the whole set; :func:`interval` says how sure a mean or a distance is.
"""

from maskedit.metrics.attributes import moved, spill, success
from maskedit.metrics.confidence import Interval, interval
from maskedit.metrics.distances import frechet_distance, kernel_distance
from maskedit.metrics.identity import Embedder, identity_similarity
from maskedit.metrics.neighbours import PRDC, prdc
from maskedit.metrics.perceptual import lpips
from maskedit.metrics.pixels import psnr, ssim
from maskedit.metrics.regions import intersection_over_union

__all__ = [
    "PRDC",
    "Embedder",
    "Interval",
    "frechet_distance",
    "identity_similarity",
    "intersection_over_union",
    "interval",
    "kernel_distance",
    "lpips",
    "moved",
    "prdc",
    "psnr",
    "spill",
    "ssim",
    "success",
]
