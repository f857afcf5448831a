"""What View, Term, Step and history cost: maskedit's loop beside a bare one with the same generator and optimiser.

Run from the repository: ``python -m benchmarks.speed.overhead``. The bare loop draws, takes the masked difference, goes
back and steps; both loops take turns.
"""

import argparse
import statistics
import time
from collections.abc import Iterator

import torch
from torch import Tensor

import maskedit as me
from benchmarks.speed import workload
from benchmarks.speed.times import middle, positive


def bare(problem: me.Problem) -> Iterator[Tensor]:
    """The fit stage with nothing around it."""
    generator, image = problem.models.generator, problem.image
    with torch.no_grad():
        mask = problem.models.parser.parse(image, ["skin"])  # type: ignore[union-attr]
    latent = problem.start_latent().requires_grad_()
    noises = problem.start_noises()
    optimizer = torch.optim.Adam([latent], lr=1e-3)
    while True:
        total = 2.0 * (mask * (generator.synthesize(latent, noises) - image).square()).mean((1, 2, 3))
        optimizer.zero_grad()
        total.sum().backward()
        optimizer.step()
        yield total.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=positive, default=40)
    parser.add_argument("--steps", type=positive, default=5, help="in a round, of each loop")
    parser.add_argument("--narrower", type=int, default=1, help="divide all channels, to try things out")
    chosen = parser.parse_args()
    me.keep_memory()
    problem = workload.problem(chosen.size, 1, "fit", chosen.narrower)
    loops = {"maskedit": workload.steps("ours", problem, "fit", []), "bare loop": bare(problem)}
    times: dict[str, list[float]] = {name: [] for name in loops}
    for round_ in range(chosen.rounds + 2):
        for name, loop in loops.items():
            start = time.perf_counter()
            for _ in range(chosen.steps):
                next(loop)
            if round_ >= 2:
                times[name].append(1000 * (time.perf_counter() - start) / chosen.steps)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {chosen.size} px")
    for name, taken in times.items():
        low, median, high = middle(taken)
        print(f"{name:10s} {median:7.2f} ms  ({low:.2f} to {high:.2f})")
    extra = statistics.median(a - b for a, b in zip(times["maskedit"], times["bare loop"], strict=True))
    print(f"overhead   {extra:7.2f} ms, {100 * extra / statistics.median(times['bare loop']):.1f} %")


if __name__ == "__main__":
    main()
