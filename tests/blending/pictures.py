"""Pictures to blend, and a disc to blend in."""

import torch


def pictures(seed: int, size: int = 32) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(2, 3, size, size, generator=g) for _ in range(3))


def disc(size: int = 32, radius: float = 0.5) -> torch.Tensor:
    line = torch.linspace(-1, 1, size)
    return ((line[:, None] ** 2 + line**2) < radius**2).float().expand(2, 1, -1, -1)


def blurred(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian of that many pixels, as wide as three deviations and the picture allow."""
    from kornia.filters import gaussian_blur2d

    width = min(2 * round(3 * sigma) + 1, 2 * (picture.shape[-1] // 2) - 1)
    return gaussian_blur2d(picture, (width, width), (sigma, sigma))
