"""A result as one safetensors file, and back."""

import json
import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from maskedit.blending import Patch
from maskedit.errors import CheckpointError
from maskedit.files import replacing
from maskedit.solve.result import History, Result

FORMAT = "maskedit result 1"


def save_result(result: Result, path: str | os.PathLike[str]) -> None:
    """What :meth:`Result.save` does."""
    tensors: dict[str, Tensor] = {}
    plain = _flat("", _fields(result), tensors)
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = safetensors.torch.save(whole, {"format": FORMAT, "facts": json.dumps(plain)})
    with replacing(path) as file:
        file.write(content)


def load_result(path: str | os.PathLike[str]) -> Result:
    """A result that :meth:`Result.save` wrote.

    Raises:
        CheckpointError: if the file is none.
    """
    path = Path(path)
    try:
        content = path.read_bytes() if path.is_file() else b""
        size = int.from_bytes(content[:8], "little")
        about = json.loads(content[8 : 8 + size] or b"{}").get("__metadata__", {})
        if about.get("format") != FORMAT:
            raise CheckpointError(f"{path} is not a saved result", expected=FORMAT)
        fields = _nested(json.loads(about["facts"]), safetensors.torch.load(content))
        history = History(**fields.pop("history"))
        return Result(history=history, **fields)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} cannot be read as a saved result", actual=str(error)[:200]) from None


def _fields(value: Any) -> dict[str, Any]:
    return {name: _fields(v) if isinstance(v, History) else v for name, v in value.__dict__.items()}


def _flat(prefix: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value with each tensor taken out and put under a name."""
    if isinstance(value, Tensor):
        tensors[prefix] = value
        return {"tensor": prefix}
    if isinstance(value, Patch):
        return {"patch": _flat(prefix, dict(value.__dict__), tensors)}
    if isinstance(value, dict):
        return {"map": {key: _flat(f"{prefix}/{key}", entry, tensors) for key, entry in value.items()}}
    if isinstance(value, list | tuple):
        return {"tuple": [_flat(f"{prefix}/{i}", entry, tensors) for i, entry in enumerate(value)]}
    return {"plain": value}


def _nested(value: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """What :func:`_flat` took apart."""
    ((kind, entry),) = value.items()
    if kind == "tensor":
        return tensors[entry]
    if kind == "patch":
        return Patch(**_nested(entry, tensors))
    if kind == "map":
        return {key: _nested(inner, tensors) for key, inner in entry.items()}
    if kind == "tuple":
        return tuple(_nested(inner, tensors) for inner in entry)
    return entry
