"""TensorFlow's checkpoints: written here by the format's rules, read back; damaged ones refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskedit.errors import CheckpointError
from maskedit.models.files.tensorflow import MAGIC, is_tensorflow, read_variables

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19, "uint8": 4}


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]], every: int = 16) -> bytes:
    """Keys as what they share with the one before and the rest; whole again at each restart."""
    out, restarts, before = bytearray(), [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return bytes(out) + b"".join(r.to_bytes(4, "little") for r in [*restarts, len(restarts)])


def write(path: Path, variables: dict[str, np.ndarray], *, compressed: bool = False, sliced: bool = False) -> None:
    data, entries = bytearray(b"\x07" * 3), [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name in sorted(variables):
        array = variables[name]
        shape = b"".join(field(2, field(1, side) if side else b"") for side in array.shape)
        entry = field(1, TYPES[array.dtype.name]) + field(2, shape) + field(4, len(data)) + field(5, array.nbytes)
        entry += varint(6 << 3 | 5) + b"\0\0\0\0" + (field(7, b"x") if sliced else b"")
        entries.append((name.encode(), entry))
        data += array.tobytes()
    table, handles = bytearray(), []
    for part in (entries[:3], entries[3:]):  # two blocks
        if part:
            content = block(part)
            handles.append((part[-1][0], varint(len(table)) + varint(len(content))))
            table += content + bytes([compressed]) + b"\0\0\0\0"
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(table)) + varint(len(index))
    table += index + b"\0" + b"\0\0\0\0" + footer.ljust(40, b"\0") + MAGIC
    path.with_name(path.name + ".index").write_bytes(table)
    path.with_name(path.name + ".data-00000-of-00001").write_bytes(data)


VARIABLES = {
    "Genc/Conv/weights": np.arange(48, dtype=np.float32).reshape(4, 2, 3, 2),
    "Genc/Conv/BatchNorm/beta": np.linspace(0, 1, 5).astype(np.float32),
    "Genc/Conv_1/weights": np.ones((1, 2), dtype=np.float64),
    "Gstu/Conv/biases": np.array([1, -2], dtype=np.float16),
    "global_step": np.array(7, dtype=np.int64),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "picture": np.array([1, 2], dtype=np.uint8),
}


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_variables_come_back(tmp_path, suffix) -> None:
    path = tmp_path / "Epoch_(99).ckpt"
    write(path, VARIABLES)
    assert is_tensorflow(str(path) + suffix)
    found = read_variables(str(path) + suffix)
    assert found.keys() == VARIABLES.keys() - {"picture"}  # a type that no weight has
    for name, tensor in found.items():
        assert torch.equal(tensor, torch.from_numpy(VARIABLES[name])), name


def test_what_is_not_there_or_not_read_is_refused(tmp_path) -> None:
    path = tmp_path / "model.ckpt"
    assert not is_tensorflow(path)
    with pytest.raises(CheckpointError, match=r"model.ckpt.index cannot be read; got no such file"):
        read_variables(path)
    write(path, VARIABLES, compressed=True)
    with pytest.raises(CheckpointError, match="got it is compressed"):
        read_variables(path)
    write(path, VARIABLES, sliced=True)
    with pytest.raises(CheckpointError, match="is in slices, which are not read"):
        read_variables(path)
    write(path, VARIABLES)
    index = path.with_name("model.ckpt.index")
    whole = index.read_bytes()
    index.write_bytes(whole[:2] + bytes([127]) + whole[3:])  # the length of the first value
    with pytest.raises(CheckpointError, match="got an entry lies beyond its block"):
        read_variables(path)
    index.write_bytes(whole)
    data = path.with_name("model.ckpt.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="data-00000-of-00001 is too short for"):
        read_variables(path)
    data.unlink()
    with pytest.raises(CheckpointError, match="data-00000-of-00001 cannot be read"):
        read_variables(path)
    path.with_name("model.ckpt.index").write_text("all model checkpoint paths" * 9)
    with pytest.raises(CheckpointError, match="is no TensorFlow checkpoint, or damaged; got it does not end"):
        read_variables(path)


@settings(max_examples=150)
@given(st.data())
def test_damage_is_an_error_or_harmless(tmp_path_factory, data) -> None:
    """Whatever one byte of the table becomes, the reader ends, with tensors or a sentence."""
    path = tmp_path_factory.getbasetemp() / "damaged.ckpt"
    write(path, VARIABLES)
    index = path.with_name("damaged.ckpt.index")
    table = bytearray(index.read_bytes())
    table[data.draw(st.integers(0, len(table) - 1))] = data.draw(st.integers(0, 255))
    index.write_bytes(table)
    try:
        found = read_variables(path)
    except CheckpointError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in found.values())
