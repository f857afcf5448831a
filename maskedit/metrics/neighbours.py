"""Whether drawn pictures look real, and show all that real ones do: precision, recall, density, coverage."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.metrics.checks import feature_sets


class PRDC(NamedTuple):
    """Four shares; 1 is best, and only density may lie above.

    Attributes:
        precision: share of drawn pictures that lie within the reach of a real one.
        recall: share of real pictures that lie within the reach of a drawn one.
        density: how many real ones reach a drawn one, on average, over ``neighbours``.
        coverage: share of real pictures that reach a drawn one.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(drawn: Float[Tensor, "n d"], real: Float[Tensor, "m d"], *, neighbours: int = 3) -> PRDC:
    """Improved precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    A picture reaches as far as its k-th nearest other picture of its own set, in Euclidean distance.

    Args:
        drawn: features of the drawn or edited pictures.
        real: features of the real ones, by the same network.
        neighbours: k.

    Raises:
        InputError: if a set has not more than ``neighbours`` rows, or the sets do not fit together.
    """
    if neighbours < 1:
        raise InputError(
            "a picture's reach is the distance to a neighbour", expected="at least 1", actual=f"{neighbours}"
        )
    drawn, real = feature_sets(
        drawn, real, needed=neighbours + 1, metric=f"the {neighbours} nearest neighbours of each picture"
    )
    apart = _apart(drawn, real)
    reached: Bool[Tensor, "n m"] = apart <= _reach(real, neighbours)
    recalled = (apart <= _reach(drawn, neighbours)[:, None]).any(0)
    return PRDC(
        precision=float(reached.any(1).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(reached.double().sum(1).mean() / neighbours),
        coverage=float(reached.any(0).double().mean()),
    )


def _reach(features: Float[Tensor, "n d"], neighbours: int) -> Float[Tensor, " n"]:
    return _apart(features, features).kthvalue(neighbours + 1).values  # the nearest of all is itself


def _apart(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
