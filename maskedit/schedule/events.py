"""What a stage does around its steps: grow the masks, redraw the noise, normalise it, or anything of yours.

An event is a callable: it gets a :class:`Moment` and returns a :class:`Change`, or None. It changes nothing
itself; the loop applies the change, to the images that are still moving only. One that looks at more than latent and
noise says so with a method ``reads(problem)`` that returns :class:`~maskedit.terms.Reads`; one that needs something of
the problem refuses it with a method ``check(problem)``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.errors import InputError
from maskedit.functional import normalize_noise
from maskedit.problem import Problem
from maskedit.terms import Reads, View
from maskedit.types import Latent, Mask, NoiseMap


@dataclass(frozen=True)
class Moment:
    """When an event happens, and what it can see.

    Args:
        problem: what is being edited.
        view: what this step shows. On entering a stage: what its first step would show.
        given: everything that is drawn from now, after the optimiser's step, by name, each ``[b, ...]``.
        stage: the stage's name.
        step: the step in the stage, from 0.
        active: which images are still moving ``[b]``.
        generators: one random generator per image; draw from these only.
        memory: what this stage's events have asked to be remembered, by name, each ``[b, ...]``.
    """

    problem: Problem
    view: View
    given: Mapping[str, Tensor]
    stage: str
    step: int
    active: Bool[Tensor, " b"]
    generators: tuple[torch.Generator, ...]
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def latent(self) -> Latent:
        """The latent now ``[b, *latent]``."""
        return self.given["latent"]

    @property
    def noises(self) -> tuple[NoiseMap, ...]:
        """The noise maps now ``[b, 1, h_i, w_i]``."""
        count = sum(name.startswith("noise.") for name in self.given)
        return tuple(self.given[f"noise.{i}"] for i in range(count))


@dataclass(frozen=True)
class Change:
    """What an event wants changed; None leaves a thing as it is.

    Args:
        latent: a new latent ``[b, *latent]``.
        noises: new noise maps ``[b, 1, h_i, w_i]``.
        grown: where the target region now is ``[b, 1, H, W]``; see :attr:`~maskedit.terms.View.grown`.
        given: new values for anything else that is drawn from, by name.
        memory: what to remember until the stage ends, by name, each ``[b, ...]``; ``view.memory`` shows it to terms,
            and it is saved with the run.
    """

    latent: Latent | None = None
    noises: Sequence[NoiseMap] | None = None
    grown: Mask | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)
    memory: Mapping[str, Tensor] = field(default_factory=dict)


Event: TypeAlias = Callable[[Moment], Change | None]


@dataclass(frozen=True, repr=False)
class GrowTarget:
    """Look where the target region now is, and let the masks of the next steps give way (Eq. 7-8).

    Without gradient, as the released program does. When a later stage leaves it out, the masks freeze.

    Args:
        regions: the target regions; by default the problem's.
    """

    regions: tuple[str, ...] | None = None

    def reads(self, problem: Problem) -> Reads:
        """The target regions."""
        return Reads(regions=problem.regions if self.regions is None else tuple(self.regions))

    def check(self, problem: Problem) -> None:
        """Refuse a problem without a target."""
        if not self.reads(problem).regions:
            raise InputError(
                "GrowTarget looks at the target, but the problem names none", hint="Say what is edited, or its regions."
            )

    def __call__(self, moment: Moment) -> Change:
        return Change(grown=moment.view.region(*self.reads(moment.problem).regions).detach())

    def __repr__(self) -> str:
        return f"GrowTarget({self.regions or ''})"


@dataclass(frozen=True)
class RedrawNoise:
    """Replace the noise maps by standard normal ones, each image's from its own generator."""

    def __call__(self, moment: Moment) -> Change:
        return Change(noises=[draw_noise(noise, moment.generators) for noise in moment.noises])


@dataclass(frozen=True)
class NormalizeNoise:
    """Bring each image's noise maps to mean 0 and standard deviation 1.

    After the optimiser's step this is a projection. Before the backward pass it reproduces the released
    program, which writes into maps that autograd has saved, and so corrupts the gradient of Eq. 11.

    Args:
        unbiased: of the deviation, as in the released program; False is StyleGAN2-ADA's projector's.
    """

    unbiased: bool = True

    def __call__(self, moment: Moment) -> Change:
        return Change(noises=[normalize_noise(noise.detach(), unbiased=self.unbiased) for noise in moment.noises])

    def __repr__(self) -> str:
        return "NormalizeNoise()" if self.unbiased else "NormalizeNoise(unbiased=False)"


def draw_noise(like: NoiseMap, generators: Sequence[torch.Generator]) -> NoiseMap:
    """Standard normal maps of this shape, image i from generator i."""
    # Drawn where the generator lives, so that a seed means the same on every device.
    maps = [torch.randn(like.shape[1:], generator=g, device=g.device, dtype=like.dtype) for g in generators]
    return torch.stack(maps).to(like.device)


def event_reads(event: Event, problem: Problem) -> Reads:
    """What an event looks at in the generated picture."""
    reads = getattr(event, "reads", None)
    return Reads() if reads is None else reads(problem)
