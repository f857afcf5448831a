"""Inputs for every loss, and the loss with them: what the tests of this room share."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from maskedit import losses
from maskedit.protocols import LatentDistribution

Device: TypeAlias = torch.device | str
FLOAT64 = torch.float64


def pictures(
    b: int = 2, size: int = 8, seed: int = 0, dtype: torch.dtype = FLOAT64, device: Device = "cpu"
) -> tuple[Tensor, ...]:
    """generated, original, preserve, target."""
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(b, c, size, size, generator=g, dtype=FLOAT64).to(device, dtype) for c in (3, 3, 1, 1))


def latents(k: int = 4, dtype: torch.dtype = FLOAT64, device: Device = "cpu") -> LatentDistribution:
    """Two layers of three numbers, of whose six directions ``k`` are spanned."""
    g = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(6, 6, generator=g, dtype=FLOAT64))[0].T[:k]
    mean = torch.randn(2, 3, generator=g, dtype=FLOAT64)
    deviations = torch.linspace(2, 0.5, k, dtype=FLOAT64)
    return LatentDistribution(*(t.to(device, dtype) for t in (mean, basis.contiguous(), deviations)))


def features(image: Tensor) -> list[Tensor]:
    pooled = torch.nn.functional.avg_pool2d(image, 2)
    return [torch.cat([image, image**2], 1), pooled]


# Every loss: module, and the inputs that it is a loss of (the first one moves).
def cases(
    dtype: torch.dtype = FLOAT64, device: Device = "cpu", b: int = 2
) -> dict[str, tuple[nn.Module, tuple[object, ...]]]:
    generated, original, preserve, target = pictures(b, dtype=dtype, device=device)
    g = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(b, 4, generator=g, dtype=FLOAT64).to(device, dtype)
    labels = torch.rand(b, 4, generator=g, dtype=FLOAT64).to(device, dtype)
    noise = torch.randn(b, 1, 16, 16, generator=g, dtype=FLOAT64).to(device, dtype)
    latent = torch.randn(b, 2, 3, generator=g, dtype=FLOAT64).to(device, dtype)
    where = latents(dtype=dtype if dtype in (torch.float32, FLOAT64) else torch.float32, device=device)
    return {
        "masked_mse": (losses.MaskedMSE(), (generated, original, preserve)),
        "masked_mse over the mask": (losses.MaskedMSE(normalize="mask"), (generated, original, preserve)),
        "relaxed_masked_mse": (losses.RelaxedMaskedMSE(), (generated, original, preserve, target)),
        "semantic_kl": (losses.SemanticKL(), (logits, labels)),
        "semantic_kl each": (losses.SemanticKL(smoothing=[0.0, 0.1, 0.2, 0.5]).to(device), (logits, labels)),
        "shape_loss": (losses.ShapeLoss(), (target, preserve)),
        "relaxed_shape_loss": (losses.RelaxedShapeLoss(), (target, preserve)),
        "component_size_kl": (losses.ComponentSizeKL(scale=1.5), (target, preserve)),
        "masked_perceptual": (losses.MaskedPerceptual(features=features), (generated, original, preserve)),
        "identity": (losses.Identity(embed=lambda x: features(x)[1].flatten(1)), (generated, original)),
        "latent_prior": (losses.LatentPrior(), (latent, where)),
        "noise_autocorrelation": (_OneMap(), (noise,)),
    }


class _OneMap(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        return losses.NoiseAutocorrelation()([noise])


NAMES = tuple(cases())


def rows(x: object, which: object) -> object:
    """Some images of an input; what is no tensor is of all images."""
    return x[which] if isinstance(x, Tensor) else x


def check_released(reference: Mapping[str, Tensor], name: str, moves: str, compute: Callable[[Tensor], Tensor]) -> None:
    """Value and gradient are those that the released program gave."""
    x = reference[moves].clone().requires_grad_()
    value = compute(x)
    value.sum().backward()
    expected, gradient = reference[name], reference[f"{name}_grad_{moves}"]
    torch.testing.assert_close(value, expected, rtol=0, atol=max(1e-5 * expected.abs().max().item(), 1e-6))
    torch.testing.assert_close(x.grad, gradient, rtol=0, atol=1e-4 * gradient.abs().max().item())
