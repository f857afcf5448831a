"""Steps a second, memory and whole edits on a GPU: as it is, compiled, and with the generator in CUDA graphs.

    python -m benchmarks.speed.gpu --json FILE

Config F at 1024 px with formula weights, parser and classifier of the released program, as in ``iteration.py``. Each
row is a process of its own, because peak memory and what was compiled are the process's. A way whose first objective
is not that of the network as it is, is refused.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import maskedit as me
from benchmarks.speed import workload
from maskedit.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("eager", "compiled", "graphs")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Prepared:
    """A generator whose pictures are drawn by another callable."""

    def __init__(self, generator: me.Generator, synthesize: Callable[[Tensor, Sequence[Tensor]], Tensor]) -> None:
        self.resolution, self.latent_shape = generator.resolution, generator.latent_shape
        self.noise_shapes, self.synthesize = generator.noise_shapes, synthesize


class Flat(nn.Module):
    """The generator with its noise maps as arguments of their own, as graphs want them."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latent: Tensor, *noises: Tensor) -> Tensor:
        return self.generator.synthesize(latent, noises)


def graphed(generator: nn.Module) -> Callable[[Tensor, Sequence[Tensor]], Tensor]:
    """Captures forward and backward when first asked with gradient, for what then needs gradient."""
    captured: dict[tuple[bool, ...], Callable[..., Tensor]] = {}

    def synthesize(latent: Tensor, noises: Sequence[Tensor]) -> Tensor:
        inputs = (latent, *noises)
        moving = tuple(tensor.requires_grad for tensor in inputs)
        if not torch.is_grad_enabled() or not any(moving):
            return generator.synthesize(latent, noises)
        if moving not in captured:
            samples = tuple(t.detach().clone().requires_grad_(m) for t, m in zip(inputs, moving, strict=True))
            captured[moving] = torch.cuda.make_graphed_callables(Flat(generator), samples)
        return captured[moving](*inputs)

    return synthesize


def prepared(models: me.Models, way: str) -> me.Models:
    generator = models.generator
    if way == "eager":
        return models
    draw = torch.compile(generator.synthesize) if way == "compiled" else graphed(generator)
    return me.Models(Prepared(generator, draw), models.parser, models.classifier)


def measure(stage: str, way: str, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """One row: seconds of the first step, which compiles or captures, steps a second after it, and peak memory."""
    device = options.device
    made = workload.problem(
        options.size, options.batch, "edit+shape" if stage == "whole" else stage, options.narrower, device=device
    )
    problem = me.Problem(prepared(made.models, way), made.image, made.edit, start=made.start)
    autocast = torch.autocast(device, DTYPES[dtype], enabled=dtype != "float32", cache_enabled=False)
    row = {"stage": stage, "way": way, "dtype": dtype, "size": options.size, "batch": options.batch}
    if stage == "whole":
        recipe = me.recipes.paper("smiling", steps=tuple(options.whole))
        with autocast:
            begun = time.perf_counter()
            me.run(problem, recipe)
            row |= {"seconds": synchronised(device) - begun, "steps": recipe.steps}
        return row | memory(device)
    with autocast:
        reference = next(iter(me.steps(made, workload.schedule(stage)))).total
        begun = synchronised(device)
        steps = me.steps(problem, workload.schedule(stage))
        first = next(steps).total
        row["first_seconds"] = synchronised(device) - begun
        if not torch.allclose(first, reference, rtol=1e-3 if dtype == "float32" else 3e-2):
            raise SystemExit(f"{row}: the first objective is {first.tolist()}, and {reference.tolist()} as it is")
        taken = []
        for _ in range(options.steps):
            begun = synchronised(device)
            next(steps)
            taken.append(synchronised(device) - begun)
    return (
        row | {"seconds": statistics.median(taken), "steps_per_second": 1 / statistics.median(taken)} | memory(device)
    )


def synchronised(device: str) -> float:
    """The time when everything asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def memory(device: str) -> dict[str, int]:
    return {"peak_bytes": torch.cuda.max_memory_allocated()} if device == "cuda" else {}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda; cpu to try the command out, without graphs")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--stage", nargs="+", default=(*workload.STAGES, "whole"))
    parser.add_argument("--way", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=("float32", "bfloat16", "float16"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30, help="steps that are timed")
    parser.add_argument("--whole", type=int, nargs=4, default=(500, 200, 300, 500), help="steps of the whole edit")
    parser.add_argument("--narrower", type=int, default=1, help="divide all channels, to try things out")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU; --device cpu tries the command out")
    cells = list(itertools.product(options.stage, options.dtype, options.way))
    if options.one:
        print(json.dumps(measure(*(cells[0][i] for i in (0, 2, 1)), options)))
        return
    rows = []
    for stage, dtype, way in cells:
        passed = [f"--{name}={getattr(options, name)}" for name in ("device", "size", "batch", "steps", "narrower")]
        passed += ["--stage", stage, "--dtype", dtype, "--way", way, "--whole", *map(str, options.whole), "--one"]
        command = [sys.executable, "-m", "benchmarks.speed.gpu", *passed]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout) if done.returncode == 0 else {"stage": stage, "dtype": dtype, "way": way}
        rows.append(row)
        print(
            "  ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            ),
            flush=True,
        )
    if options.json:
        name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
        content = {"device": name, "torch": torch.__version__, "rows": rows}
        write_whole(options.json, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
