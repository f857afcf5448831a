"""One variant of a step in a process of its own, for ``iteration.py``: it takes its turns as it is told.

Each line on its input asks for a turn of so many seconds; each turn is answered with a line of JSON.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

import maskedit as me
from benchmarks.speed import workload


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--variant", "--stage", "--dtype", "--allocator"):
        parser.add_argument(name, required=True)
    for name in ("--size", "--batch", "--narrower"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--checkpointed", action="store_true")
    parser.add_argument("--gradient", type=Path, required=True)
    chosen = parser.parse_args()

    if chosen.allocator == "kept":
        me.keep_memory()
    torch.manual_seed(0)
    problem = workload.problem(chosen.size, chosen.batch, chosen.stage, chosen.narrower)
    problem.models.generator.checkpointed = chosen.checkpointed  # type: ignore[attr-defined]
    made: list[workload.FirstGradient] = []
    steps = workload.steps(chosen.variant, problem, chosen.stage, made)
    first = None
    for line in sys.stdin:
        times: list[float] = []
        while not times or sum(times) < float(line):
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=chosen.dtype == "bfloat16"):
                total = next(steps)
            times.append(time.perf_counter() - start)
            if first is None:
                first = total.tolist()
                np.save(chosen.gradient, workload.first_gradient(made, chosen.batch).numpy())
        answer = {
            "seconds": sum(times) / len(times),
            "first": first,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
