"""Where a run stands, and the one file that it is saved to and resumed from.

Only the loop in :mod:`maskedit.solve` changes a state. The file is safetensors: tensors and a JSON text,
nothing that could run.
"""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.errors import CheckpointError
from maskedit.problem import Problem
from maskedit.schedule import Moving, Schedule
from maskedit.types import Image, Latent, Mask, NoiseMap, PerSample

FORMAT = "maskedit run 1"


@dataclass
class Best:
    """Each image's step with the lowest total in this stage."""

    total: PerSample
    latent: Latent
    noises: tuple[NoiseMap, ...]


@dataclass
class Series:
    """The values of one stage, a column a step; NaN where an image was not moving."""

    raw: dict[str, Tensor]
    weighted: dict[str, Tensor]
    total: Tensor


@dataclass
class State:
    """Everything that a run has to remember between two steps.

    Attributes:
        stage: which stage comes next or is under way.
        step: steps done in it.
        index: steps done in all.
        entered: whether the stage has begun.
        latent: ``[b, layers, dim]``.
        noises: maps ``[b, 1, h_i, w_i]``.
        grown: where the target was last seen ``[b, 1, R, R]``.
        start: the latent that the run started from.
        good: latent and maps of the last step whose loss was finite.
        active: images not frozen ``[b]``.
        stopped: images that have stopped in this stage ``[b]``.
        seeds: one per image.
        generators: one per image.
        moving: the variables in motion.
        moving_since: the stage that set them in motion.
        best: the best step of this stage, if the stage keeps it.
        series: the history, by stage name.
        fitted: the generated picture when the change of the blend began.
        notes: what happened to each image.
        seconds: time spent in steps.
        busy: a step is half done.
    """

    latent: Latent
    noises: tuple[NoiseMap, ...]
    grown: Mask
    start: Latent
    good: tuple[Latent, tuple[NoiseMap, ...]]
    active: Bool[Tensor, " b"]
    stopped: Bool[Tensor, " b"]
    seeds: tuple[int, ...]
    generators: tuple[torch.Generator, ...]
    notes: list[list[str]]
    stage: int = 0
    step: int = 0
    index: int = 0
    entered: bool = False
    moving: list[Moving] = field(default_factory=list)
    moving_since: int = 0
    best: Best | None = None
    series: dict[str, Series] = field(default_factory=dict)
    fitted: Image | None = None
    seconds: float = 0.0
    busy: bool = False


def begin(problem: Problem, seeds: tuple[int, ...]) -> State:
    """The state before the first step."""
    latent, noises = problem.start_latent(), problem.start_noises()
    batch = len(latent)
    on = torch.ones(batch, dtype=torch.bool, device=latent.device)
    return State(
        latent=latent,
        noises=noises,
        grown=torch.zeros_like(problem.image[:, :1]),
        start=latent.clone(),
        good=(latent, noises),
        active=on,
        stopped=~on,
        seeds=seeds,
        # Seeded where random numbers are the same on every machine, whatever the run's device.
        generators=tuple(torch.Generator("cpu").manual_seed(seed) for seed in seeds),
        notes=[[] for _ in range(batch)],
    )


def save(state: State, path: str | os.PathLike[str], problem: Problem, schedule: Schedule) -> None:
    """Write a state to one file, atomically.

    Raises:
        CheckpointError: if the file cannot be written, or an optimiser remembers something that is neither a
            tensor nor a plain value.
    """
    tensors: dict[str, Tensor] = {
        "latent": state.latent,
        "grown": state.grown,
        "start": state.start,
        "active": state.active,
        "stopped": state.stopped,
        "good.latent": state.good[0],
        **{f"noises.{i}": noise for i, noise in enumerate(state.noises)},
        **{f"good.noises.{i}": noise for i, noise in enumerate(state.good[1])},
        **{f"generators.{i}": g.get_state() for i, g in enumerate(state.generators)},
    }
    if state.fitted is not None:
        tensors["fitted"] = state.fitted
    if state.best is not None:
        tensors |= {"best.total": state.best.total, "best.latent": state.best.latent}
        tensors |= {f"best.noises.{i}": noise for i, noise in enumerate(state.best.noises)}
    for stage, series in state.series.items():
        tensors[f"series.{stage}.total"] = series.total
        for kind in ("raw", "weighted"):
            tensors |= {f"series.{stage}.{kind}.{name}": v for name, v in getattr(series, kind).items()}
    scalars: dict[str, Any] = {}
    for j, moving in enumerate(state.moving):
        base = moving.base()
        if base is not None:
            tensors[f"moving.{j}.base"] = base
        for key, parameter, optimizer in _parameters(moving, j):
            tensors[key] = parameter.detach()
            for name, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"{key}.{name}"] = value
                elif value is None or isinstance(value, bool | int | float | str):
                    scalars[f"{key}.{name}"] = value
                else:
                    raise CheckpointError(
                        f"{type(optimizer).__name__} remembers {name!r}, which cannot be saved",
                        expected="tensors and plain values",
                        actual=type(value).__name__,
                    )
    facts = {
        "stage": state.stage,
        "step": state.step,
        "index": state.index,
        "entered": state.entered,
        "seeds": state.seeds,
        "notes": state.notes,
        "seconds": state.seconds,
        "moving_since": state.moving_since,
        "moving": len(state.moving),
        "scalars": scalars,
        "schedule": repr(schedule),
        "inputs": problem.fingerprint,
        "threads": torch.get_num_threads(),
    }
    # Cloned: safetensors wants every tensor whole and for itself.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = safetensors.torch.save(whole, {"format": FORMAT, "facts": json.dumps(facts)})
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CheckpointError(f"the run cannot be saved to {path}", actual=error.strerror or str(error)) from None


def load(path: str | os.PathLike[str], problem: Problem, schedule: Schedule) -> State:
    """Read a state back, for the same problem and the same schedule.

    Raises:
        CheckpointError: if the file is not a saved run, or of another schedule or other inputs.
    """
    tensors, facts = _read(Path(path))
    for key, ours, what in (
        ("schedule", repr(schedule), "another schedule"),
        ("inputs", problem.fingerprint, "other inputs: images, start, names or models"),
    ):
        if facts[key] != ours:
            raise CheckpointError(f"{path} is of {what}", hint="Resume with just what the run was started with.")
    if facts["threads"] != torch.get_num_threads():
        warnings.warn(
            f"the run was saved with {facts['threads']} threads and goes on with {torch.get_num_threads()}: "
            "it will not be the same to the last bit.",
            stacklevel=3,
        )
    device = problem.image.device
    on = {name: t if name.startswith("generators.") else t.to(device) for name, t in tensors.items()}
    state = State(
        latent=on["latent"],
        noises=_numbered(on, "noises."),
        grown=on["grown"],
        start=on["start"],
        good=(on["good.latent"], _numbered(on, "good.noises.")),
        active=on["active"],
        stopped=on["stopped"],
        seeds=tuple(facts["seeds"]),
        generators=tuple(torch.Generator("cpu") for _ in facts["seeds"]),
        notes=facts["notes"],
        **{name: facts[name] for name in ("stage", "step", "index", "entered", "seconds", "moving_since")},
        fitted=on.get("fitted"),
    )
    for i, generator in enumerate(state.generators):
        generator.set_state(on[f"generators.{i}"])
    if "best.total" in on:
        state.best = Best(on["best.total"], on["best.latent"], _numbered(on, "best.noises."))
    for stage in schedule:
        if f"series.{stage.name}.total" in on:
            state.series[stage.name] = Series(
                raw={name: on[f"series.{stage.name}.raw.{name}"] for name in stage.terms.names},
                weighted={name: on[f"series.{stage.name}.weighted.{name}"] for name in stage.terms.names},
                total=on[f"series.{stage.name}.total"],
            )
    if facts["moving"]:
        variables = schedule.stages[state.moving_since].variables
        state.moving = [v.begin(state.latent, state.noises, problem.models.latents) for v in variables]
        for j, moving in enumerate(state.moving):
            _restore(moving, j, on, facts["scalars"])
    return state


def _restore(moving: Moving, j: int, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
    base = moving.base()
    if base is not None:
        base.copy_(tensors[f"moving.{j}.base"])
    for key, parameter, optimizer in _parameters(moving, j):
        with torch.no_grad():
            parameter.copy_(tensors[key])
        # By hand: the optimiser's own load_state_dict would cast what it remembers to the parameter's type.
        memory = {name.removeprefix(f"{key}."): v for name, v in scalars.items() if name.startswith(f"{key}.")}
        for name, tensor in tensors.items():
            if name.startswith(f"{key}."):
                # Torch keeps step counts, which are single numbers, on the CPU.
                memory[name.removeprefix(f"{key}.")] = tensor.cpu() if tensor.ndim == 0 else tensor
        if memory:
            optimizer.state[parameter] = memory


def _parameters(moving: Moving, j: int) -> Iterator[tuple[str, Tensor, torch.optim.Optimizer]]:
    """Each parameter of a variable in motion, with its name in the file and its optimiser."""
    for image, (parameters, optimizer) in enumerate(zip(moving.parameters, moving.optimizers, strict=True)):
        for k, parameter in enumerate(parameters):
            yield f"moving.{j}.image.{image}.{k}", parameter, optimizer


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as a saved run", actual=str(error)) from None
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a saved run of this version", expected=FORMAT, actual=about.get("format", "no such mark")
        )
    return tensors, json.loads(about["facts"])


def _numbered(tensors: Mapping[str, Tensor], prefix: str) -> tuple[Tensor, ...]:
    found = [name for name in tensors if name.startswith(prefix)]
    return tuple(tensors[f"{prefix}{i}"] for i in range(len(found)))
