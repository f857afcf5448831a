"""Each loss, forward and backward, beside its formula written plainly.

Run from the repository: ``python -m benchmarks.speed.losses``. One line a loss: the median, the spread of the middle
half, the plain formula's median, and how far their values are apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

import maskedit as me
from benchmarks.speed.naive import whiteness
from benchmarks.speed.times import middle, positive
from maskedit import losses


def cases(size: int) -> dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]]:
    """By name: the loss, the plain formula, and their inputs, the first of which gets the gradient."""
    picture, original = torch.rand(2, 1, 3, size, size).unbind()
    skin, grown, region, before = torch.rand(4, 1, 1, size, size).unbind()
    sides = [4] + [4 << level for level in range(1, size.bit_length() - 2) for _ in range(2)]
    noises = [torch.randn(1, 1, side, side) for side in sides]
    features = torch.nn.Conv2d(3, 8, 3, stride=4).requires_grad_(False)

    def semantic(logits: Tensor, labels: Tensor) -> Tensor:
        wanted, seen = labels * 0.9 + 0.05, torch.sigmoid(logits)
        each = wanted * torch.log(wanted / seen) + (1 - wanted) * torch.log((1 - wanted) / (1 - seen))
        return each.mean(1)

    def component_size(seen: Tensor, known: Tensor) -> Tensor:
        share, wanted = seen.mean((1, 2, 3)), 1.5 * known.mean((1, 2, 3))
        return wanted * torch.log(wanted / share) + (1 - wanted) * torch.log((1 - wanted) / (1 - share))

    def perceptual(image: Tensor, known: Tensor, mask: Tensor) -> Tensor:
        ours, theirs = (f / f.norm(dim=1, keepdim=True) for f in (features(image), features(known)))
        area = F.interpolate(mask, ours.shape[-2:], mode="area")
        return (area * ((ours - theirs) ** 2).sum(1, keepdim=True)).sum((1, 2, 3)) / area.sum((1, 2, 3))

    directions = torch.linalg.qr(torch.randn(512 * 18, 64))[0].T.contiguous()
    latents = me.LatentDistribution(torch.zeros(18, 512), directions, torch.linspace(2, 1, 64))

    def prior(latent: Tensor) -> Tensor:
        flat = latent.flatten(1)
        scores = flat @ directions.T
        rest = (flat**2).sum(1) - (scores**2).sum(1)
        return (((scores / latents.deviations) ** 2).sum(1) + rest) / flat.shape[1]

    mse = lambda image, known, mask: (mask * (image - known) ** 2).mean((1, 2, 3))  # noqa: E731
    return {
        "MaskedMSE": (losses.MaskedMSE(), mse, [picture, original, skin]),
        "RelaxedMaskedMSE": (
            losses.RelaxedMaskedMSE(),
            lambda image, known, mask, target: mse(image, known, (mask - target).clamp(0, 1)),
            [picture, original, skin, grown],
        ),
        "SemanticKL": (losses.SemanticKL(), semantic, [torch.randn(1, 40), torch.ones(1, 40)]),
        "ShapeLoss": (losses.ShapeLoss(), lambda a, b: ((a - b) ** 2).mean((1, 2, 3)), [region, before]),
        "RelaxedShapeLoss": (
            losses.RelaxedShapeLoss(),
            lambda a, b: ((a - (a.detach() + b).clamp(0, 1)) ** 2).mean((1, 2, 3)),
            [region, before],
        ),
        "ComponentSizeKL": (losses.ComponentSizeKL(), component_size, [region, before]),
        "NoiseAutocorrelation": (
            lambda *maps: losses.NoiseAutocorrelation()(maps),
            lambda *maps: whiteness(maps),
            noises[::-1],
        ),
        "MaskedPerceptual": (
            losses.MaskedPerceptual(features=lambda image: [features(image)]),
            perceptual,
            [picture, original, skin],
        ),
        "LatentPrior": (lambda w: losses.LatentPrior()(w, latents), prior, [torch.randn(1, 18, 512)]),
    }


def once(formula: Callable[..., Tensor], inputs: list[Tensor]) -> tuple[float, float]:
    """Milliseconds of a value with its gradient, and the value."""
    leaf = inputs[0].detach().requires_grad_()
    start = time.perf_counter()
    value = formula(leaf, *inputs[1:]).sum()
    value.backward()
    return 1000 * (time.perf_counter() - start), value.item()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=positive, default=20)
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    me.keep_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {chosen.size} px")
    for name, (loss, formula, inputs) in cases(chosen.size).items():
        taken = [(once(loss, inputs), once(formula, inputs)) for _ in range(chosen.rounds + 2)]
        ours, plain = zip(*((a[0], b[0]) for a, b in taken[2:]), strict=True)
        low, median, high = middle(ours)
        apart = abs(taken[0][0][1] - taken[0][1][1]) / abs(taken[0][1][1])
        against = f"plain {statistics.median(plain):7.2f} ms, values {apart:.0e} apart"
        print(f"{name:20s} {median:7.2f} ms  ({low:.2f} to {high:.2f})  {against}")


if __name__ == "__main__":
    main()
