"""The hyperparameters of a training as data: a frozen dataclass whose fields are the options of its command.

A preset is such a dataclass under a name. ``--preset NAME`` takes its numbers, ``--print`` shows them all as JSON, and
each can be given by itself: ``--batch 8``.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from maskedit.errors import CheckpointError, InputError
from maskedit.files import write_whole


def number(default: Any, about: str) -> Any:
    """A hyperparameter, with a line for ``--help``."""
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What every training has; each adds its own numbers."""

    batch: int = number(32, "pictures a step")
    average: float = number(0.995, "decay of the average of the weights, which is what is used")
    seed: int = number(0, "of the weights, and of what is drawn")


H = TypeVar("H", bound=Hyperparameters)


def read_options(
    about: str | None,
    presets: Mapping[str, H],
    arguments: Sequence[str] | None,
    *,
    labels: bool = True,
    more: Callable[[argparse.ArgumentParser], None] | None = None,
) -> tuple[H, argparse.Namespace]:
    """The hyperparameters that a command line asks for, and its other options: faces, labels, out, every, device.

    Args:
        about: what the training does, for its help.
        presets: hyperparameters by name; the first is the default.
        arguments: those of the process by default.
        labels: whether the training needs labels.
        more: adds options of the training's own.

    Raises:
        InputError: if the device is not there, or the folder holds a training by other numbers.
        SystemExit: after help and after ``--print``.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=presets, default=next(iter(presets)), help="which numbers (%(default)s)")
    first.add_argument("--print", action="store_true", dest="printing", help="show the numbers as JSON, and end")
    known = first.parse_known_args(arguments)[0]
    preset = presets[known.preset]

    parser = argparse.ArgumentParser(
        description=about, parents=[first], allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    needed = not known.printing
    parser.add_argument("--faces", type=Path, required=needed, help="folder: manifest.csv, landmarks.npz, aligned/")
    if labels:
        parser.add_argument("--labels", type=Path, required=needed, help="folder: regions.npz, measures.csv")
    parser.add_argument("--out", type=Path, required=needed, help="folder for checkpoint, log and sheets")
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (%(default)s)")
    if more:
        more(parser)
    numbers = parser.add_argument_group(f"numbers of the preset {known.preset}")
    for own in fields(preset):
        default = getattr(preset, own.name)
        option = "--" + own.name.replace("_", "-")
        numbers.add_argument(option, type=type(default), default=default, help=f"{own.metadata['about']} (%(default)s)")
    options = parser.parse_args(arguments)
    hyper = replace(preset, **{own.name: getattr(options, own.name) for own in fields(preset)})
    if known.printing:
        print(json.dumps(asdict(hyper), indent=2))
        raise SystemExit(0)
    options.device = device_of(options.device)
    remember(options.out, hyper)
    return hyper, options


def device_of(name: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: if torch does not know it, or it is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"cannot train on the device {name!r}", actual=str(error).splitlines()[0].rstrip("."), hint="Use cpu."
        ) from error
    return device


def remember(out: Path, hyper: Hyperparameters) -> None:
    """Write ``hyperparameters.json`` beside a new checkpoint; a training that goes on must have the same.

    Raises:
        InputError: if it has not.
        CheckpointError: if the file there is damaged.
    """
    path, own = out / "hyperparameters.json", asdict(hyper)
    if path.exists():
        found = _read(path)
        apart = [name for name in {**found, **own} if found.get(name) != own.get(name)]
        if apart:
            raise InputError(
                f"{out} holds a training by other numbers",
                expected=", ".join(f"{name} {found.get(name)}" for name in apart),
                actual=", ".join(f"{name} {own.get(name)}" for name in apart),
                hint="Give those numbers to go on, or another --out to begin anew.",
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(own, indent=2))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read", actual=str(error), hint="Delete it to go on.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} has no hyperparameters", actual=type(found).__name__, hint="Delete it to go on.")
    return found
