"""How far two sets of pictures lie apart, from features of each: Fréchet and kernel distance.

Both are computed in float64. They compare only with distances in the features of the same network: "FID" and "KID"
in papers' sense are these of Inception-v3's pooled features of pictures at 299 px.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.metrics.checks import feature_sets


def frechet_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Squared Fréchet distance of the Gaussians with the two samples' means and covariances.

    ``|mean - mean'|^2 + tr(C + C' - 2 (C C')^(1/2))`` (Dowson and Landau 1982; FID: Heusel et al. 2017), covariances
    divided by n - 1. Small samples lie further apart than what they were drawn from, the more so the fewer they are:
    compare samples of like sizes, and with more rows than columns where you can.

    Args:
        x: ``[n, d]``, one row a picture.
        y: ``[m, d]``.

    Returns:
        A number in float64, at least 0 but for rounding.

    Raises:
        InputError: on fewer than 2 rows, or sets that do not fit together.
    """
    x, y = feature_sets(x, y, needed=2, metric="a Fréchet distance")
    first, second = x.T.cov(), y.T.cov()
    values, directions = _symmetric_root(first)
    # (C C')^(1/2) and (C^(1/2) C' C^(1/2))^(1/2) have the same trace, and the second is symmetric.
    root = directions * values @ directions.T
    shared = _symmetric_root(root @ second @ root)[0].sum()
    return (x.mean(0) - y.mean(0)).square().sum() + first.trace() + second.trace() - 2 * shared


def kernel_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy under the kernel ``(x . y / d + 1) ** 3``: KID (Bińkowski et al. 2018).

    Unbiased: 0 on average for two samples of one distribution, and so at times below (Gretton et al. 2012, eq. 3).
    So samples of different sizes may be compared.

    Args:
        x: ``[n, d]``, one row a picture.
        y: ``[m, d]``.

    Returns:
        A number in float64.

    Raises:
        InputError: on fewer than 2 rows, or sets that do not fit together.
    """
    x, y = feature_sets(x, y, needed=2, metric="a kernel distance")
    return _among(x) + _among(y) - 2 * _kernel(x, y).mean()


def _symmetric_root(matrix: Float[Tensor, "d d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Square roots of the eigenvalues, and the eigenvectors; what rounding made negative is 0."""
    values, directions = torch.linalg.eigh((matrix + matrix.T) / 2)
    return values.clamp(min=0).sqrt(), directions


def _kernel(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _among(a: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    values = _kernel(a, a)
    return (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))
