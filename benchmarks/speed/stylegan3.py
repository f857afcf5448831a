"""Seconds and memory of a StyleGAN3 step, forward and backward to the latent, beside the same written plainly.

    python -m benchmarks.speed.stylegan3                              # T and R at 256 px
    python -m benchmarks.speed.stylegan3 --size 1024 --config t --turns 1

The plain form follows the published description word for word: weights scaled by a style for each image, zeros
inserted, two passes of a filter, the rectifier, two passes of a filter, every second pixel. Both draw from the same
random weights, take turns, and are compared first. "Kept" is what autograd holds between the two passes.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedit.models.networks.stylegan3 import FilteredConv, Geometry, StyleGAN3


def along_both(x: Tensor, taps: Tensor) -> Tensor:
    channels = x.shape[1]
    if taps.ndim == 2:
        return F.conv2d(x, taps.expand(channels, 1, -1, -1), groups=channels)
    x = F.conv2d(x, taps[:, None].expand(channels, 1, -1, -1), groups=channels)
    return F.conv2d(x, taps[None].expand(channels, 1, -1, -1), groups=channels)


def plain_layer(layer: FilteredConv, x: Tensor, latent: Tensor) -> Tensor:
    b, how, side = len(x), layer.resampling, layer.weight.shape[-1]
    style = layer.affine(latent)
    weight = layer.weight * layer.weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
    style = style * style.square().mean().rsqrt()
    weights = weight * style[:, None, :, None, None]
    weights = weights * (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt() * layer.magnitude_ema.rsqrt()
    x = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weights.flatten(0, 1), padding=side - 1, groups=b)
    x = x.view(b, -1, *x.shape[2:]) + layer.bias[:, None, None]
    up, taps = how.up, len(layer.up_filter)
    total = (how.size - 1) * how.down + 1 - x.shape[-1] * up + taps + layer.down_filter.shape[-1] - 2
    zeros = x.new_zeros(b, x.shape[1], x.shape[2], up, x.shape[3], up)
    zeros[:, :, :, 0, :, 0] = x
    x = zeros.view(b, x.shape[1], x.shape[2] * up, x.shape[3] * up)
    x = F.pad(x, (how.before, total - how.before) * 2)
    x = along_both(x, layer.up_filter) * up**2
    x = F.leaky_relu(x, how.slope) * how.gain
    x = x if how.clamp is None else x.clamp(-how.clamp, how.clamp)
    return along_both(x, layer.down_filter)[:, :, :: how.down, :: how.down]


def plain(generator: StyleGAN3, latent: Tensor) -> Tensor:
    first, *rows, last = latent.unbind(1)
    x = generator.synthesis.input(first).contiguous()
    for layer, row in zip(generator.synthesis.layers, rows, strict=True):
        x = plain_layer(layer, x, row)
    to_colours = generator.synthesis.to_colours
    return to_colours(x, to_colours.factors(last)) * (generator.scale / 2) + 0.5


def step(draw: Callable[[Tensor], Tensor], latent: Tensor) -> tuple[Tensor, Tensor]:
    latent = latent.detach().requires_grad_()
    image = draw(latent)
    (gradient,) = torch.autograd.grad(image.square().mean(), latent)
    return image.detach(), gradient


def kept(draw: Callable[[Tensor], Tensor], latent: Tensor) -> int:
    """Bytes of the tensors that autograd keeps, each storage once, without the weights."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        draw(latent.detach().requires_grad_())
    return sum(storages.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--config", nargs="+", choices=("t", "r"), default=("t", "r"))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    for config in chosen.config:
        torch.manual_seed(0)
        sizes = {"kernel": 1, "radial": True} if config == "r" else {}
        generator = StyleGAN3(geometry=Geometry(resolution=chosen.size), **sizes).freeze()  # type: ignore[arg-type]
        latent = torch.randn(1, *generator.latent_shape)
        forms = {"ours": generator.synthesize, "plain": lambda w, generator=generator: plain(generator, w)}
        bytes_kept = {name: kept(draw, latent) for name, draw in forms.items()}
        first = [step(draw, latent) for draw in forms.values()]
        apart = [((a - b).norm() / b.norm()).item() for a, b in zip(*first, strict=True)]
        wall: dict[str, list[float]] = {name: [] for name in forms}
        busy: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(chosen.turns):
            for name, draw in forms.items():
                before = time.perf_counter(), time.process_time()
                step(draw, latent)
                wall[name].append(time.perf_counter() - before[0])
                busy[name].append(time.process_time() - before[1])
        for name in forms:
            print(
                f"StyleGAN3-{config.upper()} {chosen.size} px, {name}: {statistics.median(wall[name]):.2f} s a step "
                f"({min(wall[name]):.2f}-{max(wall[name]):.2f}), {statistics.median(busy[name]):.2f} s of processors, "
                f"{bytes_kept[name] / 2**20:,.0f} MiB kept"
            )
        ratio = statistics.median(busy["plain"]) / statistics.median(busy["ours"])
        print(
            f"ratio {ratio:.2f} (processors); image and gradient differ by {apart[0]:.1g} and {apart[1]:.1g}; "
            f"{torch.get_num_threads()} threads, torch {torch.__version__}",
            flush=True,
        )


if __name__ == "__main__":
    main()
