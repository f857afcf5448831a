"""What makes a value what it is, as one hash: so that a run is resumed with just what it was started with.

Two schedules that print alike may do different things: another lambda, another constant in a loss of one's own. So
code, constants, closures, defaults, tensors and plain attributes all count.
"""

import functools
import hashlib
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn


def fingerprint(*values: object) -> str:
    """SHA-256 over everything that the values consist of, in hexadecimal.

    Functions count by their code (those of libraries by their names), constants, defaults, closures and the globals
    that they name; modules by their parameters, buffers and plain attributes; other objects by their class and
    attributes.
    """
    hashing = _Hashing()
    for value in values:
        hashing.add(value)
    return hashing.digest.hexdigest()


class _Hashing:
    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._inside = 0  # functions, one within another
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []  # so that no id is used twice

    def add(self, value: object) -> None:
        if isinstance(value, Tensor):
            self._say("tensor", str(value.dtype), str(list(value.shape)))
            self.digest.update(bytes_of(value))
        elif value is None or isinstance(
            value, bool | int | float | complex | str | bytes | torch.dtype | torch.device
        ):
            self._say(type(value).__name__, repr(value))
        elif isinstance(value, type | types.ModuleType | types.BuiltinFunctionType):
            self._say("name", getattr(value, "__module__", "") or "", getattr(value, "__qualname__", value.__name__))
        elif id(value) in self._seen:
            self._say("again", str(self._seen[id(value)]))
        else:
            self._seen[id(value)] = len(self._seen)
            self._kept.append(value)
            self._add_compound(value)

    def _add_compound(self, value: Any) -> None:
        self._say(type(value).__qualname__)
        if isinstance(value, Mapping):
            for key, entry in value.items():
                self._all((key, entry))
        elif isinstance(value, set | frozenset):
            self._all(sorted(value, key=repr))
        elif isinstance(value, list | tuple):
            self._say(str(len(value)))
            self._all(value)
        elif isinstance(value, types.FunctionType):
            if value.__module__.partition(".")[0] in _LIBRARIES:
                self._say(value.__module__, value.__qualname__)
            else:
                self._add_function(value)
        elif isinstance(value, types.MethodType):
            self._all((value.__func__, value.__self__))
        elif isinstance(value, types.CodeType):
            self._say(value.co_code.hex(), repr(value.co_names))
            self._all(value.co_consts)
        elif isinstance(value, functools.partial):
            self._all((value.func, value.args, value.keywords))
        elif isinstance(value, nn.Module):
            self._add_module(value)
        elif isinstance(value, torch.Generator):
            self.add(value.get_state())
        elif is_dataclass(value):
            self._all((field.name, getattr(value, field.name)) for field in fields(value))
        elif hasattr(value, "__array_interface__"):
            self._say(repr(value.__array_interface__["typestr"]), repr(value.shape))
            self.digest.update(value.tobytes())
        else:
            self._all(sorted(getattr(value, "__dict__", {}).items()))
            slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
            self._all((name, getattr(value, name)) for name in slots if hasattr(value, name))

    def _add_function(self, function: types.FunctionType) -> None:
        self._all((function.__code__, function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:  # not filled yet
                self._say("empty")
        self._inside += 1
        for name in function.__code__.co_names if self._inside == 1 else ():  # not into libraries' depths
            if name in function.__globals__:
                self._say(name)
                self.add(function.__globals__[name])
        self._inside -= 1

    def _add_module(self, module: nn.Module) -> None:
        for name, tensor in module.state_dict(keep_vars=True).items():
            self._say(name)
            self.add(tensor)
        for name, part in module.named_modules():
            self._say(name, type(part).__module__, type(part).__qualname__)
            # What torch keeps for itself begins with an underscore, and tells nothing.
            own = {k: v for k, v in part.__dict__.items() if k not in _TORCHS_OWN and not isinstance(v, nn.Module)}
            self._all(sorted(own.items()))
            self._all(sorted(part._buffers.items()))  # those too that are not saved

    def _all(self, values: Iterable[object]) -> None:
        for value in values:
            self.add(value)

    def _say(self, *words: str) -> None:
        for word in words:
            self.digest.update(len(word).to_bytes(8, "little") + word.encode(errors="surrogatepass"))


_PLAIN = (bool, int, float, complex, str, bytes, torch.dtype, torch.device)

_LIBRARIES = ("maskedit", "torch", "kornia", "numpy")
"""Functions of these are known by their names: type checking, for one, wraps ours."""

_TORCHS_OWN = frozenset(nn.Module().__dict__)


def bytes_of(tensor: Tensor) -> bytes:
    """The bytes of a tensor's numbers."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
