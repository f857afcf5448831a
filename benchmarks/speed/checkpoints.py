"""Seconds and memory to load a StyleGAN2 from each kind of file, and to take one step with it.

    python -m benchmarks.speed.checkpoints                     # config F at 1024 px: about five minutes
    python -m benchmarks.speed.checkpoints --size 64 --json FILE

Each load is a process of its own, because peak memory is the process's; the kinds take turns. Files have just been
written, so reading them is reading memory. "torch.load" is torch's own weights-only reader on the first file, without
building a network. A step is a synthesis with noise, a loss and its gradient for the latent; the second one counts.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # tests/ has the writers of each kind
PLAIN = "torch.load"


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(path: Path, *, plain: bool) -> dict[str, Any]:
    """One load and, unless it is torch's own, two steps."""
    import torch

    from maskedit.models import load_generator

    facts: dict[str, Any] = {"imported_bytes": peak(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    start = time.perf_counter()
    if plain:
        torch.load(path, weights_only=True)
        return facts | {"load_seconds": time.perf_counter() - start, "load_bytes": peak()}
    generator = load_generator(path)
    facts |= {"load_seconds": time.perf_counter() - start, "load_bytes": peak()}
    latent = generator.mean_latent()[None].clone().requires_grad_()
    noises = [torch.zeros(1, 1, *shape) for shape in generator.noise_shapes]
    for _ in range(2):
        start = time.perf_counter()
        generator.synthesize(latent, noises).square().mean().backward()
        facts["step_seconds"] = time.perf_counter() - start
    return facts | {"step_bytes": peak()}


def paths(folder: Path) -> dict[str, Path]:
    """Kind of file -> where it is."""
    kinds = ("rosinality zip", "rosinality without zip", "nvidia", "ours")
    files = {kind: folder / kind.replace(" ", "-") for kind in kinds}
    return {**files, PLAIN: files[kinds[0]]}


def write_files(folder: Path, size: int) -> None:
    """A config-F generator of random weights from a fixed seed, as each kind of file."""

    from tests.models.files.checkpoint_files import WRITERS, tiny_generator

    sizes = {"resolution": size, "latent_dim": 512, "channels": None, "mapping_layers": 8, "z_dim": 512}
    generator = tiny_generator(**sizes)
    for kind, path in paths(folder).items():
        if kind != PLAIN:
            WRITERS[kind](path, generator)


def alone(*arguments: str | Path) -> str:
    """What this program prints with these arguments, in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, plain=args.plain)))
        return
    if args.write:
        write_files(args.write, args.size)
        return

    load = os.getloadavg()[0]
    taken: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        alone("--write", folder, "--size", str(args.size))  # not here: a child starts with its parent's peak
        files = paths(Path(folder))
        sizes = {kind: path.stat().st_size for kind, path in files.items()}
        for _ in range(args.repeats):
            for kind, path in files.items():
                answer = alone("--measure", path, *(["--plain"] if kind == PLAIN else []))
                taken.setdefault(kind, []).append(json.loads(answer))

    first = taken[PLAIN][0]
    machine = f"{platform.processor() or platform.machine()}, {first['threads']} threads, load {load:.1f} before"
    versions = f"torch {first['torch']}, python {platform.python_version()}"
    print(f"StyleGAN2 config F at {args.size} px; {machine}; {versions}; medians of {args.repeats}")
    print(f"{'file':24s}{'MB':>8s}{'load s':>10s}{'peak GB':>10s}{'step s':>10s}{'peak GB':>10s}")
    rows = []
    for kind, runs in taken.items():
        row = {name: statistics.median(run[name] for run in runs) for name in runs[0] if name != "torch"}
        rows.append({"kind": kind, "file_bytes": sizes[kind], **row})
        print(f"{kind:24s}{sizes[kind] / 1e6:8.1f}{row['load_seconds']:10.2f}{row['load_bytes'] / 1e9:10.2f}", end="")
        print(f"{row['step_seconds']:10.2f}{row['step_bytes'] / 1e9:10.2f}" if "step_seconds" in row else "")
    print(f"of which {first['imported_bytes'] / 1e9:.2f} GB are torch and maskedit themselves")
    if args.json:
        content = {"machine": machine, "versions": versions, "size": args.size, "repeats": args.repeats, "rows": rows}
        from maskedit.files import write_whole  # not sooner: a child starts with its parent's peak

        write_whole(args.json, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
