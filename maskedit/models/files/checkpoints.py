"""Reads checkpoint files of any network: what a file is, is seen from what it holds, not from its suffix.

torch's two formats, pickles of NVIDIA's and safetensors are read, and no code in them is run (see
:mod:`maskedit.models.files.pickles`). Weights stay in the file until they are asked for.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from maskedit.errors import CheckpointError
from maskedit.files import write_whole
from maskedit.models.files import pickles

MAX_SHARING = 4
"""How many times a file's size its tensors may have together: tensors may share numbers, but not without end."""


@runtime_checkable
class Stored(Protocol):
    """A tensor that is still in its file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The type of its elements."""
        ...

    def load(self) -> Tensor:
        """The tensor, in memory of its own."""
        ...


State: TypeAlias = Mapping[str, Stored]


@dataclass(frozen=True, eq=False)
class Held:
    """A tensor that is in memory already."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        """The type of its elements."""
        return self.tensor.dtype

    def load(self) -> Tensor:
        """The tensor itself."""
        return self.tensor.detach()


@dataclass(frozen=True)
class File:
    """A checkpoint file, read but for its weights.

    Args:
        path: where it is.
        format: the kind of file, in words.
        value: its content, as plain data and tensors that are still in the file.
        metadata: what a safetensors file says of itself.
    """

    path: Path
    format: str
    value: object
    metadata: Mapping[str, str] = field(default_factory=dict)


def load_state(path: str | os.PathLike[str], *, entry: str | None = None) -> dict[str, Tensor]:
    """The state dict in a torch or safetensors file, for networks that fill themselves from one.

    Args:
        path: the file.
        entry: which entry of the file it is, where there are several: "state_dict", "model", ...

    Raises:
        CheckpointError: if there is none, or more than one; no code in the file is run.
    """
    file = read(path)
    states = states_in(file)
    if entry is not None:
        states = {name: state for name, state in states.items() if name == entry}
    if len(states) != 1:
        raise CheckpointError(
            f"{file.path.name} holds {len(states)} state dicts" + (f" called {entry!r}" if entry else ""),
            expected="one",
            actual=", ".join(map(repr, states)),
            hint="Say which with entry=...." if states else "",
        )
    (state,) = states.values()
    check_size(file.path, state)
    return {key: stored.load() for key, stored in state.items()}


def read(path: str | os.PathLike[str]) -> File:
    """What is in a checkpoint file; its weights stay there until they are loaded.

    Raises:
        CheckpointError: if it is none, is damaged, or asks for code to be run.
    """
    path = Path(path)
    if _is_safetensors(pickles.map_file(path)):
        return _read_safetensors(path)
    content = pickles.read(path)
    return File(path, content.format, content.value)


def states_in(file: File) -> dict[str, State]:
    """The state dicts in a file by their entry's name or, if there are none, the file's own tensors under ""."""
    if not isinstance(file.value, Mapping):
        return {}
    entries = {name: _tensors_in(entry) for name, entry in file.value.items() if isinstance(name, str)}
    states = {name: state for name, state in entries.items() if state}
    own = _tensors_in(file.value)
    return states or ({"": own} if own else {})


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes safetensors, whole or not at all.

    Raises:
        FileError: if the folder cannot be written to.
    """
    from safetensors.torch import save

    write_whole(path, save({key: tensor.contiguous() for key, tensor in tensors.items()}, dict(metadata)))


def check_size(path: Path, state: State) -> None:
    """Refuses tensors that would be far larger together than their file.

    Raises:
        CheckpointError: if they would.
    """
    needed = sum(math.prod(stored.shape) * stored.dtype.itemsize for stored in state.values())
    size = path.stat().st_size
    if needed > MAX_SHARING * size:
        raise CheckpointError(
            f"the tensors of {path.name} are far larger than the file",
            expected=f"at most {MAX_SHARING} times its {size:,} bytes",
            actual=f"{needed:,} bytes",
        )


@dataclass(frozen=True)
class _SafeTensor:
    handle: Any
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def load(self) -> Tensor:
        return self.handle.get_tensor(self.name).clone()  # what it gives may still be the file's own memory


_SAFE_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_SAFE_DTYPES |= {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8}
_SAFE_DTYPES |= {"BOOL": torch.bool}


def _is_safetensors(data: memoryview) -> bool:
    return len(data) > 8 and data[8] == ord("{") and int.from_bytes(data[:8], "little") <= len(data) - 8


def _read_safetensors(path: Path) -> File:
    from safetensors import SafetensorError, safe_open

    try:
        handle = safe_open(path, framework="pt")
        tensors = {}
        for name in handle.keys():  # noqa: SIM118  # it is no mapping
            part = handle.get_slice(name)
            dtype = _SAFE_DTYPES.get(part.get_dtype())
            if dtype is None:
                raise CheckpointError(f"{name!r} in {path.name} has a type that is not read here: {part.get_dtype()}")
            tensors[name] = _SafeTensor(handle, name, tuple(part.get_shape()), dtype)
        return File(path, "safetensors", tensors, handle.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is a damaged safetensors file: {error}", hint="Copy or download it again."
        ) from error


def _tensors_in(value: object) -> State:
    """The tensors of a state dict; nothing if the value is none."""
    if not isinstance(value, Mapping):
        return {}
    return {key: item for key, item in value.items() if isinstance(key, str) and isinstance(item, Stored)}
