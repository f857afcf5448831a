"""What will happen, as values: stages, when they stop, what they vary, what is done around their steps."""

from maskedit.schedule.events import (
    Change,
    Event,
    GrowTarget,
    Moment,
    NormalizeNoise,
    RedrawNoise,
    draw_noise,
    event_regions,
)
from maskedit.schedule.schedule import Plateau, Schedule, Stage, Threshold
from maskedit.schedule.variables import (
    LatentVariable,
    Moving,
    NoiseVariable,
    Unchanged,
    Variable,
    latent,
    noise,
    unchanged,
)

__all__ = [
    "Change",
    "Event",
    "GrowTarget",
    "LatentVariable",
    "Moment",
    "Moving",
    "NoiseVariable",
    "NormalizeNoise",
    "Plateau",
    "RedrawNoise",
    "Schedule",
    "Stage",
    "Threshold",
    "Unchanged",
    "Variable",
    "draw_noise",
    "event_regions",
    "latent",
    "noise",
    "unchanged",
]
