"""The one file that a run is saved to and resumed from.

It is safetensors: tensors and a JSON text, nothing that could run. A checksum over all of it tells a damaged file.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from maskedit.errors import CheckpointError, FileError
from maskedit.files import replacing
from maskedit.problem import Problem
from maskedit.schedule import Schedule
from maskedit.solve.fingerprint import bytes_of
from maskedit.solve.record import Values
from maskedit.solve.state import Best, State

FORMAT = "maskedit run 2"

PLAIN = ("stage", "step", "index", "entered", "seconds", "moving_since", "notes")


def save(state: State, path: str | os.PathLike[str], run: str, inputs: str) -> None:
    """Write a state, whole or not at all.

    Args:
        state: between two steps.
        path: the file.
        run: fingerprint of the schedule.
        inputs: fingerprint of the problem.

    Raises:
        CheckpointError: if the file cannot be written, or an optimiser remembers what cannot be saved.
    """
    tensors = {"active": state.active, "stopped": state.stopped, "grown": state.grown}
    for place in ("given", "start", "good", "begun", "memory"):
        values = getattr(state, place)
        tensors |= {f"{place}.{name}": v for name, v in values.items() if place != "given" or name not in state.live}
    tensors |= {f"generators.{i}": generator.get_state() for i, generator in enumerate(state.generators)}
    if state.fitted is not None:
        tensors["fitted"] = state.fitted
    if state.best is not None:
        tensors["best.total"] = state.best.total
        tensors |= {f"best.given.{name}": value for name, value in state.best.given.items()}
    for stage, values in state.record.stages.items():
        tensors |= {f"record.{stage}.{name}": value for name, value in values.columns().items()}
    plain: dict[str, Any] = {}
    for j, moving in enumerate(state.moving):
        own, rest = moving.save()
        tensors |= {f"moving.{j}.{name}": value for name, value in own.items()}
        plain |= {f"moving.{j}.{name}": value for name, value in rest.items()}
    facts = {name: getattr(state, name) for name in PLAIN} | {
        "seeds": list(state.seeds),
        "moving": len(state.moving),
        "plain": plain,
        "schedule": run,
        "inputs": inputs,
        "threads": torch.get_num_threads(),
    }
    # Cloned: safetensors wants every tensor whole and for itself.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    content = safetensors.torch.save(whole, {"format": FORMAT, "facts": text, "sha256": _checksum(whole, text)})
    try:
        with replacing(path) as file:
            file.write(content)
    except FileError as error:
        raise CheckpointError(f"the run cannot be saved to {path}", actual=error.actual) from None


def load(path: str | os.PathLike[str], problem: Problem, schedule: Schedule, run: str, inputs: str) -> State:
    """Read a state back, for the same problem and the same schedule.

    Args:
        path: the file.
        problem: what the run was started with.
        schedule: the same.
        run: fingerprint of the schedule.
        inputs: fingerprint of the problem.

    Raises:
        CheckpointError: if the file is not a saved run, is damaged, or is of another schedule or other inputs.
    """
    path = Path(path)
    tensors, facts = _read(path)
    for key, ours, what in (
        ("schedule", run, "another schedule: other steps, terms, numbers or functions"),
        ("inputs", inputs, "other inputs: images, start, names or models"),
    ):
        if facts.get(key) != ours:
            raise CheckpointError(f"{path} is of {what}", hint="Resume with just what the run was started with.")
    if facts["threads"] != torch.get_num_threads():
        warnings.warn(
            f"the run was saved with {facts['threads']} threads and goes on with {torch.get_num_threads()}: "
            "it will not be the same to the last bit.",
            stacklevel=5,
        )
    try:
        return _state(tensors, facts, problem, schedule)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not a whole saved run", actual=repr(error)[:200]) from None


def _state(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], problem: Problem, schedule: Schedule) -> State:
    stages = schedule.stages
    here = facts["stage"]
    if not (0 <= here <= len(stages) and 0 <= facts["step"] <= (stages[here].steps if here < len(stages) else 0)):
        raise CheckpointError(
            "the saved run is at no step of this schedule", actual=f"stage {here}, step {facts['step']}"
        )
    on = {name: t if name.startswith("generators.") else t.to(problem.like.device) for name, t in tensors.items()}
    state = State(
        given=_under("given.", on),
        start=_under("start.", on),
        good=_under("good.", on),
        begun=_under("begun.", on),
        memory=_under("memory.", on),
        grown=on["grown"],
        active=on["active"],
        stopped=on["stopped"],
        seeds=tuple(facts["seeds"]),
        generators=tuple(torch.Generator("cpu") for _ in facts["seeds"]),
        fitted=on.get("fitted"),
        **{name: facts[name] for name in PLAIN},
    )
    for i, generator in enumerate(state.generators):
        generator.set_state(on[f"generators.{i}"])
    if "best.total" in on:
        state.best = Best(on["best.total"], _under("best.given.", on))
    for stage in schedule:
        columns = _under(f"record.{stage.name}.", on)
        if columns:
            values = state.record.begin(stage, state.grown)
            values.done = columns["total"].shape[1]
            _fill(values, columns)
    if facts["moving"]:
        variables = schedule.stages[state.moving_since].variables
        state.moving = [variable.begin(state.begun, problem) for variable in variables]
        for j, moving in enumerate(state.moving):
            mine = f"moving.{j}."
            plain = {k.removeprefix(mine): v for k, v in facts["plain"].items() if k.startswith(mine)}
            moving.restore(_under(mine, on), plain)
            state.given |= {name: value for name, value in moving.said().items() if name in moving.live}
    return state


def _fill(values: Values, columns: Mapping[str, Tensor]) -> None:
    """Saved columns into a stage's values."""
    for name, place in values.columns().items():
        place.copy_(columns[name])


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a saved run, whose checksum is right."""
    try:
        content = path.read_bytes() if path.is_file() else None
        if content is None:
            raise CheckpointError(
                f"there is no file {path}" if not path.exists() else f"{path} is no file", expected="a saved run"
            )
        size = int.from_bytes(content[:8], "little")
        about = json.loads(content[8 : 8 + size]).get("__metadata__", {})
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read as a saved run", actual=str(error)[:200]) from None
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a saved run of this version",
            expected=FORMAT,
            actual=repr(about.get("format", "no such mark"))[:100],
        )
    if about.get("sha256") != _checksum(tensors, about.get("facts", "")):
        raise CheckpointError(f"{path} is damaged", expected="the content that its checksum is of")
    return tensors, json.loads(about["facts"])


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 over every tensor, with its name, type and shape, and over the text."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(bytes_of(tensor))
    return digest.hexdigest()


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
