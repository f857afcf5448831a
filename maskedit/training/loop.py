"""The loop that all trainings share: it counts, logs, keeps checkpoints, and goes on from the last one.

Step ``i`` draws all its random numbers from ``draws(seed, i)``, so that nothing but weights and optimisers has
to be kept for a resumed training to equal an unbroken one.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Kept = Mapping[str, nn.Module | torch.optim.Optimizer]


def draws(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    return torch.Generator().manual_seed(seed * 1_000_000_007 + step)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move an average of the model's weights (EMA) by a step; the first steps move it further."""
    decay = min(decay, (step + 1) / (step + 10))
    for mine, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(new, 1 - decay)
        else:
            mine.copy_(new)


def decayed(rate: float, step: int, steps: int, *, final: float = 0.3) -> float:
    """A learning rate that stays, then falls to zero along a line over the last ``final`` of the steps."""
    return rate * min(1.0, (steps - step) / (final * steps))


def half_precision(device: torch.device) -> torch.autocast:
    """Arithmetic in bfloat16, whose range is float32's, so that no loss needs scaling; on CPU and GPU alike."""
    return torch.autocast(device.type, torch.bfloat16)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def train(
    step: Callable[[int], Mapping[str, Tensor | float]],
    kept: Kept,
    *,
    steps: int,
    out: Path,
    batch: int,
    report: Callable[[int], None] | None = None,
    every: int = 200,
) -> None:
    """Call ``step(i)`` for each i that no checkpoint in ``out`` has behind it.

    Args:
        step: trains one step and returns what to log.
        kept: the modules and optimisers that make up the state.
        steps: how many steps in all.
        out: folder for ``checkpoint.safetensors`` and ``log.jsonl``.
        batch: pictures a step, for the log's rate.
        report: called with the number of steps done after each ``every`` and at the end: sample sheets, figures.
        every: steps between log lines and checkpoints.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.safetensors"
    begun, seconds = restore(checkpoint, kept) if checkpoint.exists() else (0, 0.0)
    clock, sums, counted = time.monotonic(), dict[str, float](), 0
    for i in range(begun, steps):
        for name, value in step(i).items():
            sums[name] = sums.get(name, 0.0) + float(value)
        counted += 1
        if (i + 1) % every == 0 or i + 1 == steps:
            spent = time.monotonic() - clock
            rate = counted * batch / spent
            means = {name: round(total / counted, 5) for name, total in sums.items()}
            seconds += spent
            line = {"step": i + 1, **means, "images_per_second": round(rate, 1), "seconds": round(seconds)}
            left = (steps - i - 1) * batch / rate
            print(" ".join(f"{k} {v}" for k, v in line.items()), f"left {left / 60:.1f} min", flush=True)
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            keep(checkpoint, kept, i + 1, seconds)
            if report:
                report(i + 1)
            clock, sums, counted = time.monotonic(), {}, 0


def keep(path: Path, kept: Kept, step: int, seconds: float) -> None:
    """Write the state to a file, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    for name, part in kept.items():
        if isinstance(part, nn.Module):
            tensors |= {f"{name}/{key}": value.contiguous().clone() for key, value in part.state_dict().items()}
        else:
            for index, moments in part.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{key}": value.contiguous() for key, value in moments.items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"step": str(step), "seconds": str(seconds)})
    os.replace(partial, path)


def restore(path: Path, kept: Kept) -> tuple[int, float]:
    """Read the state back; returns the steps done and the seconds that they took."""
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (the file is no dictionary)
    for name, part in kept.items():
        own = {key.removeprefix(name + "/"): value for key, value in tensors.items() if key.startswith(name + "/")}
        if isinstance(part, nn.Module):
            part.load_state_dict(own)
        else:
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in own.items():
                index, moment = key.split("/")
                state.setdefault(int(index), {})[moment] = value
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
    return int(facts["step"]), float(facts["seconds"])


def averaged(path: Path) -> dict[str, Tensor]:
    """The averaged weights in a checkpoint."""
    with safe_open(path, framework="pt") as file:
        keys = [key for key in file.keys() if key.startswith("average/")]  # noqa: SIM118
        return {key.removeprefix("average/"): file.get_tensor(key) for key in keys}
