"""Files that would run code, fill the memory or never end: nothing of the kind happens, and a sentence says why."""

import argparse
import builtins
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from maskedit.errors import CheckpointError
from maskedit.models.files import pickles
from maskedit.models.files.checkpoints import load_state, read
from maskedit.models.files.pickles import Persistent, Record, StoredTensor
from tests.models.files.checkpoint_files import nvidias_modules, persistent_tree

ZIP, LEGACY, PLAIN = "zip", "without zip", "plain pickle"


def write(path: Path, value: object, container: str) -> None:
    """Writes any Python object as each container does."""
    if container == PLAIN:
        path.write_bytes(pickle.dumps(value))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=container == ZIP)


def zip_around(path: Path, data_pkl: bytes, compression: int = zipfile.ZIP_STORED, **records: bytes) -> None:
    """A torch zip file around a hand-made pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        for name, data in records.items():
            archive.writestr(f"archive/data/{name}", data)


def refused(path: Path, said: str = ".") -> None:
    with pytest.raises(CheckpointError, match=said):
        load_state(path)


# --- good files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_agrees_with_torch(tmp_path: Path, zipped: bool, protocol: int) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    value = {
        "transposed": whole.t(),
        "part": whole[1:3, ::2],
        "parameter": torch.nn.Parameter(torch.randn(2, 3)),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 7),
        **{str(dtype): torch.tensor([0, 1, 1]).to(dtype) for dtype in (torch.bool, torch.uint8, torch.int64)},
        **{str(dtype): torch.randn(5).to(dtype) for dtype in (torch.float16, torch.bfloat16, torch.float64)},
    }
    path = tmp_path / "good.any"
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    expected = torch.load(path, weights_only=True) if protocol == 2 else value  # torch reads no other safely
    actual = load_state(path)
    assert actual.keys() == expected.keys()
    for key, tensor in expected.items():
        assert actual[key].dtype == tensor.dtype
        assert torch.equal(actual[key], tensor)


def test_weights_stay_in_the_file_until_loaded(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    torch.save({"a": torch.zeros(2**22), "b": torch.ones(3)}, path)
    tracemalloc.start()
    value = read(path).value
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    assert isinstance(value, dict)
    assert torch.equal(value["b"].load(), torch.ones(3))


@pytest.mark.parametrize("container", [ZIP, LEGACY])
def test_harmless_objects_beside_the_weights_become_records(tmp_path: Path, container: str) -> None:
    path = tmp_path / "args.pt"
    args = argparse.Namespace(size=256, path="data")
    write(path, {"g": {"w": torch.ones(2)}, "args": args, "when": np.float64(1.5), "kinds": {1, 2}}, container)
    value = read(path).value
    assert isinstance(value, dict)
    assert value["args"] == Record("argparse.Namespace", (), {"size": 256, "path": "data"})
    assert value["when"] == 1.5
    assert list(load_state(path)) == ["w"]


def test_state_dicts_keep_their_tensors_and_lose_their_metadata(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(network.state_dict(), tmp_path / "n.pt")
    assert load_state(tmp_path / "n.pt").keys() == network.state_dict().keys()


def test_entries_are_chosen_by_name(tmp_path: Path) -> None:
    torch.save({"a": {"w": torch.ones(1)}, "b": {"w": torch.zeros(1)}, "step": 3}, tmp_path / "two.pt")
    with pytest.raises(CheckpointError, match="holds 2 state dicts.*'a', 'b'.*entry"):
        load_state(tmp_path / "two.pt")
    assert load_state(tmp_path / "two.pt", entry="b")["w"].item() == 0
    with pytest.raises(CheckpointError, match="0 state dicts called 'c'"):
        load_state(tmp_path / "two.pt", entry="c")


def test_the_program_text_of_nvidias_pickles_is_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "g.pkl"
    tree = persistent_tree({"w_avg": torch.ones(2)}, module_src=f"open({str(mark)!r}, 'w')")
    with nvidias_modules():
        path.write_bytes(pickle.dumps({"G_ema": tree}))
    value = read(path).value
    assert isinstance(value, dict)
    assert isinstance(value["G_ema"], Persistent)
    assert isinstance(value["G_ema"].state["_buffers"], dict)
    assert isinstance(value["G_ema"].state["_buffers"]["w_avg"], StoredTensor)
    assert not mark.exists()


# --- files that would run code --------------------------------------------------------------------------------------


class Attack:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


ATTACKS: dict[str, Callable[[str], Attack]] = {
    "posix.system": lambda mark: Attack(os.system, f"touch {mark}"),
    "builtins.eval": lambda mark: Attack(builtins.eval, f"__import__('os').mkdir({mark!r})"),
    "builtins.exec": lambda mark: Attack(builtins.exec, f"import os; os.mkdir({mark!r})"),
    "io.open": lambda mark: Attack(open, mark, "w"),
    "subprocess.call": lambda mark: Attack(subprocess.call, ["touch", mark]),
    "builtins.getattr": lambda mark: Attack(getattr, Attack(Path, mark), "touch"),
    "os.mkdir": lambda mark: Attack(os.mkdir, mark),
    "torch.save": lambda mark: Attack(torch.save, 1, mark),
    "torch.serialization.load": lambda mark: Attack(torch.load, mark),
}


@pytest.mark.parametrize("name", list(ATTACKS))
@pytest.mark.parametrize("container", [ZIP, LEGACY, PLAIN])
@pytest.mark.parametrize("place", ["top", "beside weights", "in a list in a tuple"])
def test_nothing_that_a_file_names_is_run(tmp_path: Path, name: str, container: str, place: str) -> None:
    mark = tmp_path / "mark"
    attack = ATTACKS[name](str(mark))
    values = {
        "top": attack,
        "beside weights": {"g_ema": {"w": torch.ones(2)}, "extra": attack},
        "in a list in a tuple": ([1, [attack]],),
    }
    path = tmp_path / "attack.pt"
    write(path, values[place], container)
    refused(path, r"asks for '[\w.]+'.*expected names that weights need")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "os.mkdir", "subprocess.call"])
def test_the_attacks_do_run_where_pickle_is_believed(tmp_path: Path, name: str) -> None:
    """Else the test above would show nothing."""
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(ATTACKS[name](str(mark))))
    assert mark.exists()


def test_the_name_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a.pt", Attack(os.system, "true"), ZIP)
    refused(tmp_path / "a.pt", f"'{os.system.__module__}.system'")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", r"'os\.system'"),
        (b"(S'true'\nios\nsystem\n.", "opcode STRING|opcode INST"),
        (b"(cos\nsystem\nX\x04\x00\x00\x00trueo.", r"'os\.system'"),
        (b"\x80\x02cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R.", r"'builtins\.eval'"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"'os\.system'"),
        (b"\x80\x04\x8c\x05torch\x8c\x12_utils.os.system.x\x93.", "asks for"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"\x80\x02Pid\n.", "opcode PERSID"),
        (b"\x80\x02K\x01Q.", "refers to objects outside|unknown kind"),
        (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0f.", "opcode BYTEARRAY8"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "opcode LONG4"),
        (b"\x80\x02X\xff\xff\xff\x7f.", "text of absurd size"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "ends too early"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN", "ends too early"),
        (b"\x80\x02j\xff\xff\xff\xff.", "makes no sense"),
        (b"\x80\x02.", "makes no sense"),
        (b"\x80\x02t.", "makes no sense"),
        (b"\x80\x02NN\x86b.", "makes no sense"),
        (b"\x80\x02K\x01K\x02a.", "makes no sense"),
        (b"\x80\x02K\x01)R.", "calls what is no function"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "calls what is no function"),
        (b"\x80\x02ccollections\nOrderedDict\nK\x01R.", "calls what is no function"),
        (b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.", "dictionary in it makes no sense"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "tensor of an unknown kind"),
        (b"\x80\x02ctorch.storage\n_load_from_bytes\nC\x03abc\x85R.", "makes no sense"),
        (b"\x80\x02ctorch_utils.persistence\n_reconstruct_persistent_obj\n}\x85R.", "persistent object"),
        (b"\x80\x02cdnnlib.tflib.network\nNetwork\n.", "TensorFlow"),
        (b"\x80\x02ctorch.nn.modules.linear\nLinear\n.", "state_dict"),
        (b"\x80\x02X\x02\x00\x00\x00\xff\xfe.", "no UTF-8"),
        (b"\x80\x02c" + b"x" * 600 + b"\nf\n.", "has no end"),
    ],
)
def test_hand_made_programs_are_refused(tmp_path: Path, program: bytes, said: str) -> None:
    path = tmp_path / "p.pt"
    zip_around(path, program)
    refused(path, said)
    if program.startswith(b"\x80"):
        path.write_bytes(program)
        refused(path, said)


def test_large_memo_numbers_cost_nothing(tmp_path: Path) -> None:
    """Python's own reader keeps an array up to the largest number: 64 GB here."""
    (tmp_path / "p").write_bytes(b"\x80\x02}r\xff\xff\xff\xff.")
    tracemalloc.start()
    assert read(tmp_path / "p").value == {}
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_deep_programs_overrun_no_stack(tmp_path: Path) -> None:
    path = tmp_path / "p"
    deep = b"N" + b"\x85" * 100_000
    path.write_bytes(b"\x80\x02" + deep + b".")
    refused(path, "0 state dicts")
    path.write_bytes(b"\x80\x02}" + deep + b"Ns.")
    refused(path, "dictionary key of an unknown kind")
    path.write_bytes(b"\x80\x02" + b"(" * 100_000 + b".")
    refused(path, "makes no sense")


def test_endless_programs_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_STEPS", 1000)
    (tmp_path / "p").write_bytes(b"\x80\x02}" + b"q\x00" * 997 + b".")
    assert read(tmp_path / "p").value == {}
    (tmp_path / "p").write_bytes(b"\x80\x02}" + b"q\x00" * 998 + b".")
    refused(tmp_path / "p", "without end")


def test_doubling_takes_no_room(tmp_path: Path) -> None:
    """A list of itself twice, ten thousand times over, is small as long as nobody walks it."""
    path = tmp_path / "p"
    path.write_bytes(b"\x80\x02}X\x01\x00\x00\x00aN" + b"q\x00h\x00\x86" * 10_000 + b"s.")
    refused(path, "0 state dicts")


# --- files that claim or hide sizes ---------------------------------------------------------------------------------


def tensor_program(
    count: int, *, shape: bytes = b"K\x04\x85", stride: bytes = b"K\x01\x85", offset: bytes = b"K\x00"
) -> bytes:
    """``{"w": tensor}`` over a storage "0" of that many floats."""
    number = b"\x8a\x09" + count.to_bytes(9, "little")
    return (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + number + b"tQ"
        + offset + shape + stride + b"\x89NtRs."
    )  # fmt: skip


def test_the_hand_made_tensor_is_right(tmp_path: Path) -> None:
    zip_around(tmp_path / "t.pt", tensor_program(4), **{"0": struct.pack("<4f", 1, 2, 3, 4)})
    assert load_state(tmp_path / "t.pt")["w"].tolist() == [1, 2, 3, 4]


HUGE = b"\x8a\x08" + (2**62).to_bytes(8, "little")
MINUS = b"J\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (tensor_program(2**40), "has 4 numbers"),
        (tensor_program(2**64), "has 4 numbers"),
        (tensor_program(4, shape=b"K\x05\x85"), "does not fit its storage"),
        (tensor_program(4, offset=b"K\x01"), "does not fit its storage"),
        (tensor_program(4, offset=MINUS), "wrong shape"),
        (tensor_program(4, stride=b"K\x02\x85"), "does not fit its storage"),
        (tensor_program(4, stride=MINUS + b"\x85"), "wrong shape"),
        (tensor_program(4, shape=MINUS + b"\x85"), "wrong shape"),
        (tensor_program(4, shape=HUGE + b"\x85", stride=b"K\x00\x85"), "wrong shape"),
        (tensor_program(4, shape=b"J\xff\xff\xff\x7f\x85", stride=b"K\x00\x85"), "does not fit its storage"),
        (tensor_program(4, shape=b"K\x00" + HUGE + b"\x86", stride=b"K\x01K\x01\x86"), "wrong shape"),
        (tensor_program(4, shape=b"K\x02K\x02\x86"), "wrong shape"),
        (tensor_program(4, shape=b"(" + b"K\x01" * 17 + b"t", stride=b"(" + b"K\x01" * 17 + b"t"), "wrong shape"),
        (tensor_program(4, shape=b"X\x01\x00\x00\x00a\x85"), "wrong shape"),
        (tensor_program(4).replace(b"FloatStorage", b"DoubleStorage"), "has 2 numbers"),
        (tensor_program(4).replace(b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x001"), "archive/data/1 is missing"),
        (tensor_program(4).replace(b"storagec", b"st0ragec"), "storage of an unknown kind"),
    ],
)
def test_tensors_outside_their_storage_are_refused(tmp_path: Path, program: bytes, said: str) -> None:
    zip_around(tmp_path / "t.pt", program, **{"0": bytes(16)})
    refused(tmp_path / "t.pt", said)


def test_other_versions_of_the_old_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save({"w": torch.arange(4.0)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"M\xe9\x03", b"M\xea\x03", 1))
    refused(path, "unknown version; expected 1001; got 1002")


def test_huge_storages_without_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save({"w": torch.arange(4.0)}, path, _use_new_zipfile_serialization=False)
    good = path.read_bytes()
    for count in (b"\x8a\x06\xff\xff\xff\xff\xff\x7f", b"J\xff\xff\xff\xff"):
        path.write_bytes(good.replace(b"cpuq\x06K\x04", b"cpuq\x06" + count, 1))
        assert path.read_bytes() != good
        refused(path)
    tail = struct.pack("<q", 4) + torch.arange(4.0).numpy().tobytes()
    assert good.endswith(tail)
    for claimed in (2**40, -1, 3):
        path.write_bytes(good.removesuffix(tail) + struct.pack("<q", claimed) + tail[8:])
        refused(path, "numbers, not 4")


def test_compressed_records_are_refused_before_they_unpack(tmp_path: Path) -> None:
    bomb = tensor_program(2**26)
    zip_around(tmp_path / "bomb.pt", bomb, zipfile.ZIP_DEFLATED, **{"0": bytes(2**28)})
    assert (tmp_path / "bomb.pt").stat().st_size < 2**19
    tracemalloc.start()
    refused(tmp_path / "bomb.pt", "compressed")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_tensors_that_share_numbers_without_end_are_refused(tmp_path: Path) -> None:
    shared = torch.zeros(2**16)
    torch.save({str(i): shared.view(2**i, -1) for i in range(16)}, tmp_path / "shared.pt")
    refused(tmp_path / "shared.pt", "far larger than the file")


def test_zip_entries_are_held_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    zip_around(path, tensor_program(4), **{"0": bytes(16)})
    good = path.read_bytes()
    entry = good.rindex(b"PK\x01\x02")  # the storage's, in the directory
    for field, size, value in ((20, 4, 2**31), (24, 4, 2**31), (42, 4, 2**31), (10, 2, 8), (8, 2, 1), (42, 4, 3)):
        at = entry + field
        path.write_bytes(good[:at] + value.to_bytes(size, "little") + good[at + size :])
        refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_records_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two readers could disagree about which of them counts."""
    path = tmp_path / "t.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data.pkl", b"\x80\x02N.")
    refused(path, "twice")


def test_checksums_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save({"w": torch.full((64,), 7.0)}, path)
    good = path.read_bytes()
    at = good.index(torch.full((64,), 7.0).numpy().tobytes())
    path.write_bytes(good[: at + 9] + b"\x01" + good[at + 10 :])
    refused(path, "wrong checksum")


def test_files_without_checksums_are_read(tmp_path: Path) -> None:
    """torch writes zeros in their place when told to compute none."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.ones(3)}, tmp_path / "t.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(load_state(tmp_path / "t.pt")["w"], torch.ones(3))


@pytest.mark.parametrize("container", [ZIP, LEGACY, PLAIN])
def test_every_truncation_is_noticed(tmp_path: Path, container: str) -> None:
    path = tmp_path / "t"
    write(path, {"w": torch.arange(6.0)}, container)
    whole = path.read_bytes()
    for length in range(0, len(whole), 1 if container == PLAIN else 7):
        path.write_bytes(whole[:length])
        refused(path)


# --- files that are something else ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n<html><head>", "web page"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"PK\x03\x04", "no whole zip file"),
        (b"hello", "is no checkpoint"),
        (struct.pack("<Q", 2**40) + b'{"a":', "is no checkpoint"),
        (struct.pack("<Q", 6) + b'{"a":1', "damaged safetensors"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    refused(tmp_path / "x.pt", said)


def test_other_zip_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "no torch checkpoint")
    zip_around(path, b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"\x80\x02).")
    refused(path, "TorchScript")
    zip_around(path, b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/byteorder", "big")
    refused(path, "big-endian")


def test_missing_files_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.pt", tmp_path, tmp_path / "pipe"):
        refused(path, "is no file")


def test_sparse_and_quantised_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.eye(3).to_sparse()}, tmp_path / "s.pt")
    refused(tmp_path / "s.pt", "asks for 'torch._utils._rebuild_sparse_tensor'")


def test_whole_modules_are_refused_with_a_hint(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), buffer)
    (tmp_path / "m.pt").write_bytes(buffer.getvalue())
    refused(tmp_path / "m.pt", "save its state_dict")
