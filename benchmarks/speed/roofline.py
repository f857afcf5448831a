"""The least time that a step's convolutions could take: their arithmetic over the best rate seen here.

Run alone it prints both: ``python -m benchmarks.speed.roofline --size 1024``.
"""

import argparse
import json
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F

import maskedit as me
from maskedit.models.networks.stylegan2 import config_f_channels


class Layer(NamedTuple):
    """A 3x3 convolution, its size in pixels that of its input; transposed at stride 2 if ``up``."""

    inputs: int
    outputs: int
    size: int
    up: bool

    @property
    def operations(self) -> int:
        """Multiplications and additions of one pass, forward or backward."""
        return 2 * 9 * self.inputs * self.outputs * self.size**2


def layers(channels: Sequence[int]) -> list[Layer]:
    """The 3x3 convolutions of a synthesis network with these channels at 4, 8, ... pixels."""
    made = [Layer(channels[0], channels[0], 4, False)]
    for level, (below, here) in enumerate(pairwise(channels)):
        made += [Layer(below, here, 4 << level, True), Layer(here, here, 8 << level, False)]
    return made


def operations(channels: Sequence[int], batch: int = 1) -> int:
    """Arithmetic of all convolutions as the network defines them, forward and the gradient of their input."""
    to_rgb = sum(2 * 3 * c * (4 << level) ** 2 for level, c in enumerate(channels))
    return 2 * batch * (sum(layer.operations for layer in layers(channels)) + to_rgb)


def best_rate(channels: Sequence[int], dtype: torch.dtype, batch: int = 1, runs: int = 10) -> tuple[float, str]:
    """Operations per second of the fastest layer in the faster layout, and which that was; median of warm runs."""
    best = (0.0, "")
    for layer in dict.fromkeys(layers(channels)):
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(batch, layer.inputs, layer.size, layer.size, dtype=dtype).to(memory_format=layout)
            weight = torch.randn(layer.outputs, layer.inputs, 3, 3, dtype=dtype).to(memory_format=layout)
            turned = weight.transpose(0, 1)
            times = []
            for _ in range(runs + 2):
                start = time.perf_counter()
                if layer.up:
                    F.conv_transpose2d(x, turned, stride=2)
                else:
                    F.conv2d(x, weight, padding=1)
                times.append(time.perf_counter() - start)
            rate = batch * layer.operations / sorted(times[2:])[runs // 2]
            best = max(best, (rate, f"{layer}, {str(layout).removeprefix('torch.')}"))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--narrower", type=int, default=1, help="divide all channels, to try things out")
    chosen = parser.parse_args()
    me.keep_memory()
    channels = [c // chosen.narrower for c in config_f_channels(chosen.size)]
    with torch.no_grad():
        rate, layer = best_rate(channels, getattr(torch, chosen.dtype), chosen.batch)
    work = operations(channels, chosen.batch)
    print(json.dumps({"operations": work, "rate": rate, "layer": layer, "seconds": work / rate}))


if __name__ == "__main__":
    main()
