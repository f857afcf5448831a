"""Seconds and memory of one optimisation step: maskedit, the same step as public ports write it, and the roofline.

    python -m benchmarks.speed.iteration                       # all sizes, stages and dtypes: about an hour
    python -m benchmarks.speed.iteration --size 1024 --stage fit --dtype float32 --json FILE

Each variant runs in a process of its own, because allocator settings and peak memory are the process's; the two take
turns, so that a slow moment of the machine hits both. The port computes in float32, as ports do, whatever ``--dtype``
says of ours. Both start from the same weights and variables; the first step's objective and gradients are compared,
and a row is refused where they differ. Times are medians over the turns.
"""

import argparse
import itertools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskedit.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
SIZES, STAGES, DTYPES = (64, 256, 1024), ("fit", "edit", "edit+shape", "detail"), ("float32", "bfloat16")
ALLOCATORS = ("as-it-comes", "kept")
# How far the objective and the gradients may be from the port's, relative to their norms. At 1024 px rounding puts a
# few of the 10^8 rectified values on the other side of zero, which each moves the gradients.
TOLERANCES = {"float32": (1e-4, 1e-2), "bfloat16": (2e-2, 0.5)}


class Worker:
    """A process that takes turns; see ``worker.py``."""

    def __init__(self, variant: str, options: Mapping[str, Any], gradient: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.speed.worker", "--variant", variant, "--gradient", str(gradient)]
        for name, value in options.items():
            if value is True:
                command.append(f"--{name}")
            elif value is not False:
                command += [f"--{name}", str(value)]
        self.gradient = gradient
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self, seconds: float) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(seconds, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with status {self.process.wait()}")
        return json.loads(line)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def measure(options: Mapping[str, Any], repeats: int, seconds: float) -> dict[str, Any]:
    """One row without its roofline."""
    with tempfile.TemporaryDirectory() as folder:
        naive_options = {**options, "dtype": "float32", "checkpointed": False}
        with (
            Worker("ours", options, Path(folder) / "ours.npy") as ours,
            Worker("naive", naive_options, Path(folder) / "naive.npy") as naive,
        ):
            for worker in (ours, naive):
                worker.turn(0)  # to get warm
            taken = [(ours.turn(seconds), naive.turn(seconds)) for _ in range(repeats)]
        gradients = [np.load(worker.gradient) for worker in (ours, naive)]
    (mine, theirs), (our_times, naive_times) = taken[-1], zip(*([t["seconds"] for t in pair] for pair in taken))  # noqa: B905
    apart = (difference(np.array(mine["first"]), np.array(theirs["first"])), difference(*gradients))
    if any(actual > allowed for actual, allowed in zip(apart, TOLERANCES[options["dtype"]], strict=True)):
        raise SystemExit(f"{dict(options)}: objective and gradients are {apart} from the port's: not the same step")
    row = {name: options[name] for name in ("stage", "size", "dtype", "batch", "allocator", "checkpointed")}
    return row | {
        "seconds": statistics.median(our_times),
        "naive_seconds": statistics.median(naive_times),
        "ratio": statistics.median(naive_times) / statistics.median(our_times),
        "spread": [min(our_times), max(our_times)],
        "naive_spread": [min(naive_times), max(naive_times)],
        "peak_bytes": mine["peak_bytes"],
        "naive_peak_bytes": theirs["peak_bytes"],
        "objective_difference": apart[0],
        "gradient_difference": apart[1],
        "threads": mine["threads"],
        "torch": mine["torch"],
    }


def difference(ours: np.ndarray, naive: np.ndarray) -> float:
    return float(np.linalg.norm(ours - naive) / np.linalg.norm(naive))


def roofline(options: Mapping[str, Any]) -> dict[str, Any]:
    """Work, best rate and their quotient, measured in a process of its own."""
    names = ("size", "dtype", "batch", "narrower")
    command = [sys.executable, "-m", "benchmarks.speed.roofline", *(f"--{name}={options[name]}" for name in names)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=SIZES)
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--batch", type=int, nargs="+", default=(1,))
    parser.add_argument("--allocator", nargs="+", choices=ALLOCATORS, default=ALLOCATORS)
    parser.add_argument("--checkpointed", action="store_true", help="ours recomputes features instead of keeping them")
    parser.add_argument("--repeats", type=int, default=5, help="turns that each variant takes")
    parser.add_argument("--seconds", type=float, default=0.5, help="a turn's length; at least one step is done")
    parser.add_argument("--narrower", type=int, default=1, help="divide all channels, to try things out")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for size, dtype, batch in itertools.product(chosen.size, chosen.dtype, chosen.batch):
        common = {"size": size, "dtype": dtype, "batch": batch, "narrower": chosen.narrower}
        floor = roofline(common)
        print(
            f"{size} px, {dtype}, batch {batch}: {floor['operations'] / 1e9:.1f} GFLOP at "
            f"{floor['rate'] / 1e9:.1f} GFLOP/s ({floor['layer']}): {floor['seconds']:.4g} s"
        )
        for stage in chosen.stage:
            naive_as_it_comes = None
            for allocator in chosen.allocator:
                options = {**common, "stage": stage, "allocator": allocator, "checkpointed": chosen.checkpointed}
                row = measure(options, chosen.repeats, chosen.seconds)
                row |= {"roofline_seconds": floor["seconds"], "roofline_ratio": row["seconds"] / floor["seconds"]}
                if allocator == "as-it-comes":
                    naive_as_it_comes = row["naive_seconds"]
                elif naive_as_it_comes is not None:
                    row["shipped_ratio"] = naive_as_it_comes / row["seconds"]
                rows.append(row)
                print(show(row), flush=True)
    if chosen.json:
        machine = f"{platform.processor() or platform.machine()}, {platform.system()}"
        versions = {"python": platform.python_version(), "torch": rows[0]["torch"], "commit": commit()}
        content = {"machine": machine, **versions, "device": "cpu", "repeats": chosen.repeats, "rows": rows}
        write_whole(chosen.json, json.dumps(content, indent=1) + "\n")


def show(row: Mapping[str, Any]) -> str:
    ours, port = (f"{row[f'{who}seconds']:.4g} s ({row[f'{who}peak_bytes'] / 1e9:.2f} GB)" for who in ("", "naive_"))
    shipped = f", {row['shipped_ratio']:.1f}x the port as it comes" if "shipped_ratio" in row else ""
    return (
        f"  {row['stage']:10s} memory {row['allocator']:11s} {ours}, port {port}: {row['ratio']:.2f}x{shipped}; "
        f"{row['roofline_ratio']:.2f}x the roofline"
    )


if __name__ == "__main__":
    main()
