"""Reads the variables of TensorFlow's checkpoints (version 2, "tensor bundles") without TensorFlow.

A checkpoint is ``NAME.index``, a table of sorted keys in LevelDB's format with a protocol buffer on each variable, and
``NAME.data-00000-of-00001``, their numbers. Everything is plain data; nothing in it is run. Variables in slices,
compressed tables and big-endian files are not read: TensorFlow writes none of them by default.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from maskedit.errors import CheckpointError

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
DTYPES = {1: torch.float32, 2: torch.float64, 3: torch.int32, 9: torch.int64, 14: torch.bfloat16, 19: torch.float16}
"""TensorFlow's numbers for the types that weights and counters have; variables of others are left out."""


def is_tensorflow(path: str | os.PathLike[str]) -> bool:
    """Whether there is a TensorFlow checkpoint of this name, with or without ``.index``."""
    return _index(path).is_file()


def read_variables(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The variables of a checkpoint, by name.

    Args:
        path: the checkpoint's name, such as ``Epoch_(99).ckpt``, or that of its ``.index`` file.

    Raises:
        CheckpointError: if a file is missing, damaged or of a kind that is not read.
    """
    index = _index(path)
    try:
        table = index.read_bytes()
        entries = dict(_table(table))
        shards = _number(dict(_fields(entries.pop(b""))), 1)
        variables = {}
        for key, value in entries.items():
            fields = list(_fields(value))
            tensor = _variable(index, key.decode(), fields, shards)
            if tensor is not None:
                variables[key.decode()] = tensor
        return variables
    except OSError as error:
        raise CheckpointError(
            f"{error.filename} cannot be read", actual=(error.strerror or str(error)).lower()
        ) from error
    except (IndexError, KeyError, ValueError, OverflowError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{index.name} is no TensorFlow checkpoint, or damaged", actual=str(error)) from error


def _index(path: str | os.PathLike[str]) -> Path:
    name = re.sub(r"\.(index|data-\d+-of-\d+)$", "", os.fspath(path))
    return Path(name + ".index")


def _variable(index: Path, name: str, fields: list[tuple[int, int | bytes]], shards: int) -> Tensor | None:
    """The tensor that an entry of the table describes; None for one of another type than weights have."""
    entry = dict(fields)
    if 7 in entry:
        raise CheckpointError(f"the variable {name!r} of {index.name} is in slices, which are not read")
    dtype = DTYPES.get(_number(entry, 1))
    if dtype is None:
        return None
    shape = []
    for field, value in _fields(_bytes(entry, 2)):
        if field == 2 and isinstance(value, bytes):
            shape.append(_number(dict(_fields(value)), 1))
    shard, offset, size = (_number(entry, field) for field in (3, 4, 5))
    data = index.with_suffix(f".data-{shard:05d}-of-{shards:05d}")
    if math.prod(shape) * dtype.itemsize != size:
        raise CheckpointError(
            f"the variable {name!r} of {index.name} is damaged",
            expected=f"{math.prod(shape) * dtype.itemsize} bytes for {shape}",
            actual=str(size),
        )
    if offset + size > data.stat().st_size:
        raise CheckpointError(f"{data.name} is too short for {name!r}", expected=f"{offset + size:,} bytes or more")
    with data.open("rb") as file:
        file.seek(offset)
        numbers = bytearray(file.read(size))
    return torch.frombuffer(numbers, dtype=dtype).reshape(shape) if size else torch.zeros(shape, dtype=dtype)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table: an index block points to the blocks that hold them."""
    if len(data) < FOOTER or data[-8:] != MAGIC:
        raise ValueError("it does not end as a table does")
    footer = data[-FOOTER:]
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    for _, handle in _block(data, footer[at:]):
        yield from _block(data, handle)


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of the block at a place; each key tells only what differs from the one before."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    if offset + size + 5 > len(data):
        raise ValueError("a block lies beyond its end")
    if data[offset + size] != 0:
        raise ValueError("it is compressed")
    block = data[offset : offset + size]
    end = size - 4 * (int.from_bytes(block[-4:], "little") + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise ValueError("an entry lies beyond its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol buffer: their numbers, and integers or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field has the unknown kind {kind}")
        if at + length > len(message):
            raise ValueError("a field lies beyond its message")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer of seven bits a byte, low ones first, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    raise ValueError("an integer does not end")


def _number(fields: dict[int, int | bytes], field: int) -> int:
    """An integer field; 0, as everywhere in protocol buffers, if it is not there."""
    value = fields.get(field, 0)
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no integer")
    return value


def _bytes(fields: dict[int, int | bytes], field: int) -> bytes:
    value = fields.get(field, b"")
    if not isinstance(value, bytes):
        raise ValueError(f"field {field} is no message")
    return value
