"""Reads the pickles that checkpoints are, and runs nothing that they ask for.

A pickle is a program for a small stack machine, and Python's own machine imports and calls whatever the program
names. The machine here calls nothing: it knows a closed list of names, and each makes plain data (a dictionary, a
stored tensor, an inert record) by a function of this file. Any other name is refused, and named. It reads

- torch's zip format, and its older format without zip, as ``torch.load(weights_only=True)`` would. That function is
  not used because torch 2.5, which maskedit supports, could be made to run code through it;
- NVIDIA's StyleGAN2-ADA pickles. Their own reader executes the program text that they carry (``module_src``); here
  it is skipped, and modules become :class:`Persistent` records of their state.

Nothing is believed before it is checked: sizes against the file's own, offsets against their storage, checksums
against the content. The work and memory of reading grow with the file's size, whatever it claims. Weights stay in the
file until :meth:`StoredTensor.load`.
"""

import math
import mmap
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from maskedit.errors import CheckpointError

MAX_STEPS = 3_000_000
"""Opcodes in one pickle; checkpoints with optimiser states have a few 100,000."""
MAX_TEXT = 2**24
"""Bytes in one string; the longest known are NVIDIA's program texts, below 100 kB."""
MAX_DIMENSIONS = 16

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
"""The numbers that open torch's format without zip, each pickled on its own."""
ZIP_START = b"PK\x03\x04"

STORAGES: Mapping[str, torch.dtype] = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.storage.UntypedStorage": torch.uint8,
}
INERT = frozenset(
    {
        "argparse.Namespace",
        "builtins.set",
        "__builtin__.set",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "torch.Size",
        "torch.device",
        *(f"torch.{name}" for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")),
    }
)
"""Names found in good checkpoints whose objects hold no weights; they become records that do nothing."""
NUMBERS = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "<?"}
"""numpy's scalar types, for ``struct``."""

OPCODES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle mentions."""

    full: str


@dataclass
class Record:
    """An object that a pickle describes, not rebuilt: its class, what it was made of, its state."""

    name: str
    args: object
    state: object = None


@dataclass(frozen=True)
class Persistent:
    """A module in an NVIDIA pickle: the name of its class, and its attributes as plain data."""

    class_name: str
    state: Mapping[str, object]


@dataclass(eq=False)
class Storage:
    """Raw numbers in a file.

    Args:
        dtype: their type.
        count: how many.
        data: their bytes; None until the reader comes to them.
        record: where they are, for messages.
        crc: the checksum that the file gives for them; 0 if it gives none.
    """

    dtype: torch.dtype
    count: int
    data: memoryview | None
    record: str = "a storage"
    crc: int = 0

    def checked(self) -> memoryview:
        """The bytes, if they are all there and those that were written."""
        if self.data is None or len(self.data) != self.count * self.dtype.itemsize:
            raise _damaged(f"{self.record} has a wrong size")
        if self.crc and zlib.crc32(self.data) != self.crc:
            raise _damaged(f"{self.record} has a wrong checksum")
        self.crc = 0  # once is enough
        return self.data


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that is still in its file; every element is known to lie inside the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the elements."""
        return self.storage.dtype

    @property
    def nbytes(self) -> int:
        """Size of the tensor once loaded."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self) -> Tensor:
        """The tensor, contiguous, in memory of its own."""
        if 0 in self.shape:
            return torch.empty(self.shape, dtype=self.dtype)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        size = self.dtype.itemsize
        own = bytearray(self.storage.checked()[self.offset * size : (last + 1) * size])
        return torch.frombuffer(own, dtype=self.dtype).as_strided(self.shape, self.stride).contiguous()


@dataclass(frozen=True)
class Content:
    """What is in a checkpoint file.

    Args:
        format: the kind of file, in words.
        value: what was pickled, as plain data, :class:`StoredTensor`, :class:`Persistent` and :class:`Record`.
    """

    format: str
    value: object


def read(path: Path) -> Content:
    """Reads a torch checkpoint or a pickle, whatever its suffix; the weights stay in the file.

    Raises:
        CheckpointError: if it is neither, is damaged, or asks for more than checkpoints need.
    """
    data = map_file(path)
    start = bytes(data[:32])
    if start.startswith(ZIP_START):
        return Content("torch checkpoint (zip)", _read_zip(path, data))
    if start.startswith(b"\x80"):
        machine = _Machine(data, NAMES)
        value = machine.run()
        if value == MAGIC:
            return Content("torch checkpoint (without zip)", _read_legacy(machine))
        return Content("pickle", value)
    raise CheckpointError(f"{path.name} is no checkpoint", expected="a torch file or a pickle", hint=_guess(start))


def map_file(path: Path) -> memoryview:
    """The bytes of a file, read from disk as they are looked at.

    Raises:
        CheckpointError: if there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is no file", expected="a checkpoint")
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError as error:
        raise CheckpointError(f"{path.name} is empty", hint="Copy or download it again.") from error
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}") from error


def _guess(start: bytes) -> str:
    if start.startswith(b"version https://git-lfs"):
        return "It is a pointer that git-lfs would replace: run 'git lfs pull' where it came from."
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "It is a web page: a download that went wrong, most likely."
    if start.startswith(b"\x1f\x8b"):
        return "It is compressed with gzip: unpack it first."
    if start.startswith(b"\x89HDF"):
        return "It is an HDF5 file, which is not read here."
    return ""


# --- torch's two containers ---------------------------------------------------------------------------------------


def _read_zip(path: Path, data: memoryview) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, OverflowError) as error:
        raise _damaged(f"it is no whole zip file ({error})") from error
    entries = {entry.filename: entry for entry in listed}
    if len(entries) < len(listed):
        raise _damaged("it names a record twice")
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(f"{path.name} is a zip file, but no torch checkpoint", expected="one 'data.pkl' in it")
    folder = pickles[0].removesuffix("data.pkl")
    if folder + "constants.pkl" in entries:
        raise CheckpointError(
            f"{path.name} is a TorchScript program", expected="weights", hint="Save its state_dict()."
        )

    def record(name: str, dtype: torch.dtype = torch.uint8) -> Storage:
        if name not in entries:
            raise _damaged(f"{name} is missing")
        stored = _stored(data, entries[name])
        return Storage(dtype, len(stored) // dtype.itemsize, stored, name, entries[name].CRC)

    if folder + "byteorder" in entries and bytes(record(folder + "byteorder").checked()) != b"little":
        raise _big_endian()

    storages: dict[tuple[str, torch.dtype], Storage] = {}

    def find(key: object) -> Storage:
        dtype, name, count = _storage_id(key)
        if (name, dtype) not in storages:
            storages[name, dtype] = record(f"{folder}data/{name}", dtype)
        found = storages[name, dtype]
        if found.count != count:
            raise _damaged(f"{found.record} has {found.count} numbers, not {count}")
        return found

    return _Machine(record(pickles[0]).checked(), NAMES, find).run()


def _stored(data: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """The bytes of an entry. torch never compresses, so a small file cannot unpack to a large one."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
        raise CheckpointError(
            f"{entry.filename} is compressed or encrypted in the checkpoint",
            expected="records as torch writes them, uncompressed",
            hint="Unpack the file, or save the checkpoint again with torch.",
        )
    header = bytes(data[entry.header_offset : entry.header_offset + 30]) if entry.header_offset >= 0 else b""
    if len(header) == 30 and header.startswith(ZIP_START):
        start = entry.header_offset + 30 + sum(struct.unpack("<HH", header[26:]))
        if start + entry.file_size <= len(data):
            return data[start : start + entry.file_size]
    raise _damaged(f"{entry.filename} lies outside the file")


def _read_legacy(machine: "_Machine") -> object:
    """What follows the magic number: a version, facts about the computer, the object and the keys of its storages, each
    pickled on its own; then the storages, each a count of 8 bytes and the numbers."""
    promised: dict[str, Storage] = {}

    def find(key: object) -> Storage:
        dtype, name, count = _storage_id(key)
        return promised.setdefault(name, Storage(dtype, count, None, f"storage {name}"))

    machine.find = find
    version, facts = machine.run(), machine.run()
    if version != VERSION:
        raise CheckpointError(
            "the checkpoint is of an unknown version", expected=str(VERSION), actual=str(version)[:100]
        )
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise _big_endian()
    value, keys = machine.run(), machine.run()
    if not isinstance(keys, list):
        raise _damaged("the list of its storages is missing")
    for key in keys:
        storage = promised.get(key) if isinstance(key, str) else None
        if storage is None:
            raise _damaged("the list of its storages is wrong")
        (count,) = struct.unpack("<q", machine.take(8))
        if count != storage.count:
            raise _damaged(f"{storage.record} has {count} numbers, not {storage.count}")
        storage.data = machine.take(count * storage.dtype.itemsize)
    return value


def _storage_id(key: object) -> tuple[torch.dtype, str, int]:
    match key:
        case ("storage", Name(full), str(name), str(), int(count), *view) if full in STORAGES and count >= 0:
            if view in ([], [None]):
                return STORAGES[full], name, count
    raise CheckpointError("the checkpoint has a storage of an unknown kind", expected="torch's numbers in main memory")


# --- the stack machine --------------------------------------------------------------------------------------------

Names: TypeAlias = Mapping[str, Callable[[tuple[object, ...]], object]]
"""What may be called, by full name: functions of this file, from the arguments as a tuple."""


class _Machine:
    """Turns pickles that lie one after the other in ``data`` into plain data.

    Args:
        data: the bytes.
        names: the closed list.
        find: gives the storage that a persistent id of the pickle stands for.
    """

    def __init__(self, data: memoryview, names: Names, find: Callable[[object], Storage] | None = None) -> None:
        self.data, self.names, self.find, self.position = data, names, find, 0

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise _damaged("it ends too early")
        start, self.position = self.position, end
        return self.data[start:end]

    def run(self) -> object:
        """The next pickle's value.

        Raises:
            CheckpointError: if it is damaged, or asks for what is not on the list.
        """
        try:
            return self._run()
        except IndexError as error:  # pops from an empty stack
            raise _damaged("a pickle in it makes no sense") from error

    def _run(self) -> object:
        stack: list[object] = []
        below: list[list[object]] = []  # the stacks that marks have covered
        memo: dict[int, object] = {}

        for _ in range(MAX_STEPS):
            code = self.take(1)[0]
            match OPCODES.get(code):
                case "BINGET":
                    stack.append(self._remembered(memo, self._number("<B")))
                case "LONG_BINGET":
                    stack.append(self._remembered(memo, self._number("<I")))
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINPUT":
                    memo[self._number("<B")] = stack[-1]
                case "LONG_BINPUT":
                    memo[self._number("<I")] = stack[-1]

                case "NONE":
                    stack.append(None)
                case "NEWTRUE":
                    stack.append(True)
                case "NEWFALSE":
                    stack.append(False)
                case "BININT":
                    stack.append(self._number("<i"))
                case "BININT1":
                    stack.append(self._number("<B"))
                case "BININT2":
                    stack.append(self._number("<H"))
                case "LONG1":
                    stack.append(int.from_bytes(self.take(self._number("<B")), "little", signed=True))
                case "BINFLOAT":
                    stack.append(struct.unpack(">d", self.take(8))[0])
                case "SHORT_BINUNICODE":
                    stack.append(self._text("<B"))
                case "BINUNICODE":
                    stack.append(self._text("<I"))
                case "SHORT_BINSTRING":
                    stack.append(self._text("<B", "latin-1"))
                case "BINSTRING":
                    stack.append(self._text("<i", "latin-1"))
                case "SHORT_BINBYTES":
                    stack.append(self.take(self._number("<B")))
                case "BINBYTES":
                    stack.append(self.take(self._number("<I")))
                case "BINBYTES8":
                    stack.append(self.take(self._number("<Q")))

                case "MARK":
                    below.append(stack)
                    stack = []
                case "EMPTY_TUPLE":
                    stack.append(())
                case "TUPLE1":
                    stack[-1:] = [(stack[-1],)]
                case "TUPLE2":
                    stack[-2:] = [(stack[-2], stack[-1])]
                case "TUPLE3":
                    stack[-3:] = [(stack[-3], stack[-2], stack[-1])]
                case "TUPLE":
                    items, stack = stack, below.pop()
                    stack.append(tuple(items))
                case "EMPTY_LIST":
                    stack.append([])
                case "APPEND":
                    item = stack.pop()
                    _expect(stack[-1], list).append(item)
                case "APPENDS":
                    items, stack = stack, below.pop()
                    _expect(stack[-1], list).extend(items)
                case "EMPTY_SET":
                    stack.append(set())
                case "ADDITEMS":
                    items, stack = stack, below.pop()
                    _expect(stack[-1], set).update(map(_key, items))
                case "EMPTY_DICT":
                    stack.append({})
                case "SETITEM":
                    value, key = stack.pop(), stack.pop()
                    _expect(stack[-1], dict)[_key(key)] = value
                case "SETITEMS":
                    items, stack = stack, below.pop()
                    _expect(stack[-1], dict).update(zip(map(_key, items[::2]), items[1::2], strict=False))

                case "GLOBAL":
                    stack.append(self._name(self._line(), self._line()))
                case "STACK_GLOBAL":
                    name, module = stack.pop(), stack.pop()
                    stack.append(self._name(module, name))
                case "REDUCE" | "NEWOBJ":
                    args, callee = stack.pop(), stack.pop()
                    stack.append(self._call(callee, args))
                case "BUILD":
                    state = stack.pop()
                    if isinstance(stack[-1], Record):
                        stack[-1].state = state
                    elif not isinstance(stack[-1], dict | StoredTensor):  # whose attributes hold no weights
                        raise _damaged("a pickle in it makes no sense")
                case "BINPERSID":
                    if self.find is None:
                        raise CheckpointError("the pickle refers to objects outside itself")
                    stack.append(self.find(stack.pop()))

                case "PROTO":
                    self.take(1)
                case "FRAME":
                    self.take(8)
                case "STOP":
                    return stack.pop()
                case other:
                    raise CheckpointError(
                        f"the checkpoint uses the pickle opcode {other or hex(code)}, which no checkpoint needs",
                        hint="It is damaged, or not what it seems: do not load it with other programs.",
                    )
        raise CheckpointError("the checkpoint's pickle goes on without end", expected=f"at most {MAX_STEPS} steps")

    def _number(self, kind: str) -> int:
        return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]

    def _text(self, size: str, encoding: str = "utf-8") -> str:
        count = self._number(size)
        if count > MAX_TEXT:
            raise CheckpointError("the checkpoint holds a text of absurd size", actual=f"{count} bytes")
        try:
            return str(self.take(count), encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeDecodeError as error:
            raise _damaged("a text in it is no UTF-8") from error

    def _line(self) -> str:
        ahead = bytes(self.data[self.position : self.position + 512])
        end = ahead.find(b"\n")
        if end < 0:
            raise _damaged("a name in it has no end")
        self.position += end + 1
        return ahead[:end].decode("latin-1")

    def _remembered(self, memo: dict[int, object], index: int) -> object:
        if index not in memo:
            raise _damaged("a pickle in it makes no sense")
        return memo[index]

    def _name(self, module: object, name: object) -> Name:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "no name at all"
        if full in self.names or full in INERT or full in STORAGES:
            return Name(full)
        hint = "It is refused unread. A checkpoint needs no such thing: do not load it with other programs."
        if full.startswith("dnnlib.tflib."):
            hint = "It is a TensorFlow network: convert it with the legacy.py of StyleGAN2-ADA's PyTorch port first."
        elif full.startswith(("torch.nn.", "__main__.")):
            hint = "It is a whole module, whose code would be needed: save its state_dict() instead."
        raise CheckpointError(f"the checkpoint asks for {full[:200]!r}", expected="names that weights need", hint=hint)

    def _call(self, callee: object, args: object) -> object:
        if not isinstance(callee, Name) or not isinstance(args, tuple) or callee.full in STORAGES:
            raise CheckpointError("the checkpoint calls what is no function", expected="names that weights need")
        if callee.full in self.names:
            return self.names[callee.full](args)
        return Record(callee.full, args)


def _expect(value: object, kind: type) -> Any:
    if type(value) is not kind:
        raise _damaged("a pickle in it makes no sense")
    return value


def _key(value: object) -> object:
    """A key of a dictionary: only flat ones, since hashing a deep tuple overruns the stack."""
    plain = (str, int, float, type(None))
    if isinstance(value, plain) or (isinstance(value, tuple) and all(isinstance(item, plain) for item in value)):
        return value
    raise CheckpointError("the checkpoint has a dictionary key of an unknown kind", actual=type(value).__name__)


# --- the closed list ----------------------------------------------------------------------------------------------


def _dictionary(args: tuple[object, ...]) -> dict[object, object]:
    match args:
        case ():
            return {}
        case (list(pairs),) if all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            return {_key(pair[0]): pair[1] for pair in pairs}
    raise _damaged("a dictionary in it makes no sense")


def _tensor(args: tuple[object, ...]) -> StoredTensor:
    match args:
        case (Storage() as storage, int(offset), tuple(shape), tuple(stride), *_):
            sizes = (offset, *shape, *stride)
            if len(shape) != len(stride) or len(shape) > MAX_DIMENSIONS:
                raise _damaged("a tensor in it has a wrong shape")
            if not all(isinstance(size, int) and 0 <= size < 2**40 for size in sizes):
                raise _damaged("a tensor in it has a wrong shape")
            last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
            if 0 not in shape and (last >= storage.count or math.prod(shape) > storage.count):
                raise _damaged(f"a tensor of shape {list(shape)} does not fit its storage of {storage.count} numbers")
            return StoredTensor(storage, offset, shape, stride)
    raise CheckpointError("the checkpoint has a tensor of an unknown kind", expected="dense tensors in main memory")


def _parameter(args: tuple[object, ...]) -> StoredTensor:
    match args:
        case (StoredTensor() as tensor, *_):
            return tensor
    raise _damaged("a parameter in it is no tensor")


def _embedded(args: tuple[object, ...]) -> Storage:
    """A storage that was saved inside a pickle, as a small file of torch's older format."""
    match args:
        case (memoryview() as data,):
            machine = _Machine(data, {})
            storage = _read_legacy(machine) if machine.run() == MAGIC else None
            if isinstance(storage, Storage):
                return storage
    raise _damaged("a storage in it makes no sense")


def _persistent(args: tuple[object, ...]) -> Persistent:
    match args:
        case ({"type": "class", "class_name": str(class_name), "state": dict(state)},):
            return Persistent(class_name, state)
    raise CheckpointError("the checkpoint has a persistent object of an unknown kind", expected="a module's class")


def _bytes(args: tuple[object, ...]) -> object:
    """How old protocols write a byte string."""
    match args:
        case (str(text), "latin1") if len(text) <= 64 and max(text, default="") <= "\xff":
            return memoryview(text.encode("latin-1"))
    return Record("_codecs.encode", args)


def _scalar(args: tuple[object, ...]) -> object:
    match args:
        case (Record("numpy.dtype", (str(kind), *_)), memoryview() as data) if kind in NUMBERS:
            if len(data) == struct.calcsize(NUMBERS[kind]):
                return struct.unpack(NUMBERS[kind], data)[0]
    return Record("numpy.core.multiarray.scalar", args)


NAMES: Names = {
    "_codecs.encode": _bytes,
    "collections.OrderedDict": _dictionary,
    "dnnlib.EasyDict": _dictionary,
    "dnnlib.util.EasyDict": _dictionary,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.storage._load_from_bytes": _embedded,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
}


def _damaged(how: str) -> CheckpointError:
    return CheckpointError(f"the checkpoint is damaged: {how}", hint="Copy or download it again.")


def _big_endian() -> CheckpointError:
    return CheckpointError("the checkpoint was written on a big-endian machine", expected="little-endian numbers")
