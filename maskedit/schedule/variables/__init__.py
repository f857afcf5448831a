"""What a stage may move. Each is a :class:`Variable`; one of yours is written like these."""

from dataclasses import dataclass

from maskedit.schedule.variables._additions import AdditionVariable, pixels, target_place
from maskedit.schedule.variables._latent import LatentVariable, latent
from maskedit.schedule.variables._mix import MixVariable, mix
from maskedit.schedule.variables._moving import Evaluate, Moving, Variable, together
from maskedit.schedule.variables._steering import ClipNorm, GradientChange, OnPlateau, OptimizerFactory, Steering
from maskedit.schedule.variables._tensors import MovingTensors, TensorsVariable, features, inputs, noise, styles
from maskedit.schedule.variables._weights import WeightsVariable, weights


@dataclass(frozen=True)
class Unchanged:
    """Go on with the last stage's variables and their optimisers' moments. Made by :func:`unchanged`."""

    def __str__(self) -> str:
        return "unchanged"


def unchanged() -> Unchanged:
    """Go on with the last stage's variables; their optimisers keep their moments."""
    return Unchanged()


__all__ = [
    "AdditionVariable",
    "ClipNorm",
    "Evaluate",
    "GradientChange",
    "LatentVariable",
    "MixVariable",
    "Moving",
    "MovingTensors",
    "OnPlateau",
    "OptimizerFactory",
    "Steering",
    "TensorsVariable",
    "Unchanged",
    "Variable",
    "WeightsVariable",
    "features",
    "inputs",
    "latent",
    "mix",
    "noise",
    "pixels",
    "styles",
    "target_place",
    "together",
    "unchanged",
    "weights",
]
