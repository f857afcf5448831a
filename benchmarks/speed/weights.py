"""Memory of tuning a generator's weights for one picture, beside torch's Adam on the generator itself.

    python -m benchmarks.speed.weights --json benchmarks/results/weights.json

Each runs in a process of its own; what is printed is the peak resident memory less that of the imports.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys

import torch

from maskedit.files import write_whole


def peak() -> float:
    """Peak resident memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(kind: str, size: int, steps: int) -> tuple[float, int]:
    """Peak memory in MiB over that before the generator, and the number of weights."""
    import maskedit as me
    from maskedit.models import StyleGAN2

    torch.set_num_threads(1)
    before = peak()
    torch.manual_seed(0)
    generator = StyleGAN2(resolution=size).eval()
    latent, target = torch.randn(1, *generator.latent_shape), torch.rand(1, 3, size, size)
    if kind == "plain":
        optimizer = torch.optim.Adam(generator.parameters(), lr=1e-4)
        for _ in range(steps):
            optimizer.zero_grad()
            (generator.synthesize(latent) - target).square().mean().backward()
            optimizer.step()
    else:
        generator.freeze()
        like = me.Term("like", me.each(torch.nn.MSELoss()))
        schedule = me.Schedule(me.Stage("tune", steps, like, vary=me.weights(lr=1e-4)), blend=None)
        problem = me.Problem(me.Models(generator=generator), target, start=latent)
        for _ in me.steps(problem, schedule):
            pass
    return peak() - before, sum(p.numel() for p in generator.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--json", help="a file to write the figures to")
    parser.add_argument("--kind", choices=["plain", "ours"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        print(json.dumps(measure(args.kind, args.size, args.steps)))
        return
    found = {}
    for kind in ("plain", "ours"):
        call = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.weights", "--kind", kind]
        done = subprocess.run(
            [*call, "--size", str(args.size), "--steps", str(args.steps)], capture_output=True, text=True, check=True
        )
        found[kind], count = json.loads(done.stdout)
    facts = {
        "command": f"python -m benchmarks.speed.weights --size {args.size} --steps {args.steps}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, one thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.date.today().isoformat(),
        "millions": round(count / 1e6),
        "size": args.size,
        "plain_mib": round(found["plain"]),
        "ours_mib": round(found["ours"]),
        "ratio": round(found["ours"] / found["plain"], 2),
    }
    print(json.dumps(facts, indent=2))
    if args.json:
        write_whole(args.json, json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
