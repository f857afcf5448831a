"""StyleGAN2-ADA's projector: one w and the noise maps, w shaken less and less."""

from dataclasses import dataclass

import maskedit as me
from examples.loops.ramp import Ramp


@dataclass(frozen=True)
class Fading:
    """Noise on w that fades over the first three quarters of the steps."""

    deviation: float
    steps: int

    def __call__(self, step: int) -> float:
        return self.deviation * 0.05 * max(0.0, 1 - step / self.steps / 0.75) ** 2


def squared(x, y):
    return (x - y).square().sum(dim=1)


def schedule(features, deviation, steps=1000, rate=0.1, shake=None):
    """``features`` maps pictures to vectors ``[b, n]``; ``deviation`` is that of mapped w."""
    ramp = Ramp(rate, steps)
    distance = me.Term("distance", squared, reads=lambda v: (v.features(features), v.original.features(features)))
    return me.Schedule(
        me.Stage(
            "project",
            steps,
            distance + 1e5 * me.white_noise(),
            vary=[me.latent(lr=ramp, space="w", shake=shake or Fading(deviation, steps)), me.noise(lr=ramp)],
            after_step=[me.NormalizeNoise(unbiased=False)],
        ),
        blend=None,
    )
