"""What a stage does around its steps: grow the masks, redraw the noise, normalise it, or anything of yours.

An event is a callable: it gets a :class:`Moment` and returns a :class:`Change`, or None. It changes nothing
itself; the loop applies the change, to the images that are still moving only. One that reads regions of
the generated picture says which in an attribute ``regions``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.functional import normalize_noise
from maskedit.problem import Problem
from maskedit.terms import View
from maskedit.types import Latent, Mask, NoiseMap


@dataclass(frozen=True)
class Moment:
    """When an event happens, and what it can see.

    Args:
        problem: what is being edited.
        view: what this step shows. On entering a stage: what its first step would show.
        latent: the latent now, after the optimiser's step ``[b, layers, dim]``.
        noises: the noise maps now ``[b, 1, h_i, w_i]``.
        stage: the stage's name.
        step: the step in the stage, from 0.
        active: which images are still moving ``[b]``.
        generators: one random generator per image; draw from these only.
    """

    problem: Problem
    view: View
    latent: Latent
    noises: tuple[NoiseMap, ...]
    stage: str
    step: int
    active: Bool[Tensor, " b"]
    generators: tuple[torch.Generator, ...]


@dataclass(frozen=True)
class Change:
    """What an event wants changed; None leaves a thing as it is.

    Args:
        latent: a new latent ``[b, layers, dim]``.
        noises: new noise maps ``[b, 1, h_i, w_i]``.
        grown: where the target region now is ``[b, 1, R, R]``; see :attr:`~maskedit.terms.View.grown`.
    """

    latent: Latent | None = None
    noises: Sequence[NoiseMap] | None = None
    grown: Mask | None = None


Event: TypeAlias = Callable[[Moment], Change | None]


@dataclass(frozen=True, repr=False)
class GrowTarget:
    """Look where the target region now is, and let the masks of the next steps give way (Eq. 7-8).

    Without gradient, as the released program does. When a later stage leaves it out, the masks freeze.

    Args:
        regions: the target regions; by default the problem's.
    """

    regions: tuple[str, ...] | None = None

    def __call__(self, moment: Moment) -> Change:
        regions = moment.problem.regions if self.regions is None else self.regions
        return Change(grown=moment.view.region(*regions).detach())

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
    """

    def __call__(self, moment: Moment) -> Change:
        return Change(noises=[normalize_noise(noise.detach()) for noise in moment.noises])


def draw_noise(like: NoiseMap, generators: Sequence[torch.Generator]) -> NoiseMap:
    """Standard normal maps of this shape, image i from generator i."""
    # Drawn where the generator lives, so that a seed means the same on every device.
    maps = [torch.randn(like.shape[1:], generator=g, device=g.device, dtype=like.dtype) for g in generators]
    return torch.stack(maps).to(like.device)


def event_regions(event: Event, problem: Problem) -> tuple[str, ...]:
    """The regions of the generated picture that an event reads."""
    regions = getattr(event, "regions", ())
    return problem.regions if regions is None else tuple(regions)
