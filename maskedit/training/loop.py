"""The loop that all trainings share: it steps, averages, logs, keeps checkpoints, and goes on from the last one.

Step ``i`` draws all its random numbers from :func:`step_rng`, so that nothing but weights and optimisers has to be kept
for a resumed training to equal an unbroken one.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskedit.errors import CheckpointError, FileError
from maskedit.files import replacing, write_whole
from maskedit.training.options import Hyperparameters

Kept = Mapping[str, nn.Module | torch.optim.Optimizer]
"""What a checkpoint holds, by name."""

Log = Mapping[str, Tensor | float]
"""What a step tells of itself."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What learns, by what loss, and what is reported of it. Data and augmentation are the loss's own affair.

    Args:
        network: what learns.
        optimizer: of its weights; the rates of its groups are the highest.
        loss: called with a step's number and its random numbers; returns what to log, "loss" being what is minimised.
        steps: how many.
        rate: what the highest rates are multiplied by at a step.
        report: called with the averaged network and the number of steps done: sheets, figures.
        clip: gradients longer than this, all together, are cut to it.
        also: other modules and optimisers, which the loss trains itself.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[int, torch.Generator], Mapping[str, Tensor]]
    steps: int
    rate: Callable[[int], float] = lambda step: 1.0
    report: Callable[[nn.Module, int], None] | None = None
    clip: float | None = 1.0
    also: Kept = field(default_factory=dict)


def train(training: Training, hyper: Hyperparameters, *, out: Path, every: int, device: torch.device) -> nn.Module:
    """Train, from the last checkpoint in ``out`` if there is one.

    Args:
        training: what to do.
        hyper: batch, seed, and the decay of the averaged weights.
        out: folder for checkpoint and log.
        every: steps between them.
        device: where to.

    Returns:
        The averaged network (EMA).

    Raises:
        CheckpointError: if the checkpoint in ``out`` is damaged, or of another training.
    """
    network, optimizer, report = training.network, training.optimizer, training.report
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    ema = deepcopy(network)
    highest = [group["lr"] for group in optimizer.param_groups]

    def step(i: int) -> Log:
        torch.manual_seed(hyper.seed * 1_000_007 + i)  # dropout draws from the global generator
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = rate * training.rate(i)
        network.train()
        log = training.loss(i, step_rng(hyper.seed, i))
        optimizer.zero_grad()
        log["loss"].backward()
        if training.clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip)
        optimizer.step()
        update_ema(ema, network, hyper.average, i)
        return {name: value.detach() for name, value in log.items()}

    resumable(
        step,
        {"network": network, "average": ema, "optimizer": optimizer, **training.also},
        steps=training.steps,
        out=out,
        batch=hyper.batch,
        report=None if report is None else lambda done: report(ema, done),
        every=every,
    )
    return ema


def step_rng(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    return torch.Generator().manual_seed(seed * 1_000_000_007 + step)


@torch.no_grad()
def update_ema(ema: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the exponential moving average of a network's weights by a step; the first steps move it further."""
    decay = min(decay, (step + 1) / (step + 10))
    for mine, new in zip(ema.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(new, 1 - decay)
        else:
            mine.copy_(new)


def linear_decay(step: int, steps: int, *, final: float) -> float:
    """1, then along a line to zero over the ``final`` share of the steps.

    >>> [linear_decay(step, 10, final=0.5) for step in (0, 5, 6, 9)]
    [1.0, 1.0, 0.8, 0.2]
    """
    return min(1.0, (steps - step) / (final * steps))


def half_precision(device: torch.device) -> torch.autocast:
    """Arithmetic in bfloat16, whose range is float32's, so that no loss needs scaling; on CPU and GPU alike."""
    return torch.autocast(device.type, torch.bfloat16)


def resumable(
    step: Callable[[int], Log],
    kept: Kept,
    *,
    steps: int,
    out: Path,
    batch: int,
    report: Callable[[int], None] | None = None,
    every: int = 200,
) -> None:
    """Call ``step(i)`` for each i that no checkpoint in ``out`` has behind it.

    A checkpoint that cannot be written, as when the disk is full, is tried again after the next ``every`` steps; only
    the last one ends the training.

    Args:
        step: trains one step and returns what to log.
        kept: the modules and optimisers that make up the state.
        steps: how many steps in all.
        out: folder for ``checkpoint.safetensors`` and ``log.jsonl``.
        batch: pictures a step, for the log's rate.
        report: called with the number of steps done after each ``every`` and at the end: sample sheets, figures.
        every: steps between log lines and checkpoints.

    Raises:
        CheckpointError: if the checkpoint is damaged, or of another training.
        FileError: if the last checkpoint cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint, log = out / "checkpoint.safetensors", out / "log.jsonl"
    begun, seconds = restore_checkpoint(checkpoint, kept) if checkpoint.exists() else (0, 0.0)
    lines = read_log(log, until=begun)
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
            lines.append({"step": i + 1, **means, "images_per_second": round(rate, 1), "seconds": round(seconds)})
            left = (steps - i - 1) * batch / rate
            print(" ".join(f"{k} {v}" for k, v in lines[-1].items()), f"left {left / 60:.1f} min", flush=True)
            try:
                write_whole(log, "".join(json.dumps(line) + "\n" for line in lines))
                save_checkpoint(checkpoint, kept, i + 1, seconds)
                if report:
                    report(i + 1)
            except FileError as error:
                if i + 1 == steps:
                    raise
                print(f"maskedit: {error} The training goes on.", file=sys.stderr, flush=True)
            clock, sums, counted = time.monotonic(), {}, 0


def read_log(path: Path, *, until: int | None = None) -> list[dict[str, float | int]]:
    """The lines of a training's log, up to a step; none if there is no log.

    Raises:
        CheckpointError: if it is no log.
    """
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in lines if until is None or line["step"] <= until]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path} is no log of a training", actual=str(error), hint="Delete it to go on."
        ) from None


def save_checkpoint(path: Path, kept: Kept, step: int, seconds: float) -> None:
    """Write the state to a file, whole or not at all.

    Raises:
        FileError: if it cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in kept.items():
        if isinstance(part, nn.Module):
            tensors |= {f"{name}/{key}": value.contiguous().clone() for key, value in part.state_dict().items()}
        else:
            for index, moments in part.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{key}": value.contiguous() for key, value in moments.items()}
    with replacing(path) as file:
        file.write(save(tensors, {"step": str(step), "seconds": str(seconds)}))


def restore_checkpoint(path: Path, kept: Kept) -> tuple[int, float]:
    """Read the state back; returns the steps done and the seconds that they took.

    Raises:
        CheckpointError: if the file is damaged, or of another training.
    """
    tensors, facts = _read(path)
    try:
        for name, part in kept.items():
            own = {key.removeprefix(name + "/"): value for key, value in tensors.items() if key.startswith(name + "/")}
            if isinstance(part, nn.Module):
                part.load_state_dict(own)
            else:
                _restore_optimizer(part, own)
        return int(facts["step"]), float(facts["seconds"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not of this training",
            actual=" ".join(str(error).split())[:200].rstrip("."),
            hint="Give another --out to begin anew, or the file's own training to go on.",
        ) from None


def _restore_optimizer(optimizer: torch.optim.Optimizer, own: Mapping[str, Tensor]) -> None:
    """Moments by ``index/name``, each as large as its weight."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in own.items():
        index, moment = key.split("/")
        state.setdefault(int(index), {})[moment] = value
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for row, moments in state.items():
        for moment, value in moments.items():
            if row >= len(weights) or (value.ndim and value.shape != weights[row].shape):
                raise ValueError(f"the optimiser has another {moment} of weight {row}")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no dict)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or is damaged", actual=str(error), hint="Delete it to begin anew."
        ) from None


def ema_weights(path: Path) -> dict[str, Tensor]:
    """The averaged weights in a checkpoint.

    Raises:
        CheckpointError: if it has none.
    """
    found = {k.removeprefix("average/"): v for k, v in _read(path)[0].items() if k.startswith("average/")}
    if not found:
        raise CheckpointError(f"{path} has no averaged weights", expected="a checkpoint of a training")
    return found
