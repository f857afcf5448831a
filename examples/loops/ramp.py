"""The learning rate of StyleGAN2's projectors: a quick rise, a plateau, and a fall along a cosine."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Ramp:
    """The rate at a step: up over the first 5 % of the steps, down over the last 25 %."""

    base: float
    steps: int

    def __call__(self, step: int) -> float:
        t = step / self.steps
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / 0.25))
        return self.base * fall * min(1.0, t / 0.05)
