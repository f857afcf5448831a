"""The table of weights, and downloads that resume, verify and leave nothing half-written; all from 127.0.0.1."""

import argparse
import hashlib
import importlib
import re
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter

import pytest
import torch
from safetensors.torch import save_file

from maskedit.commands import models as models_command
from maskedit.errors import CheckpointError, InputError
from maskedit.models.weights import registry
from maskedit.models.weights.download import download
from maskedit.models.weights.registry import Weights, fetch

pytest.importorskip("requests", reason="needs requests (the extra 'download')")

CONTENT = bytes(range(256)) * 2000  # half a megabyte: many chunks
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A file server that misbehaves as told; ``requests`` are the Range headers that it saw."""

    content = CONTENT
    breaks = ()  # how many bytes each of the first requests gets before the line breaks
    statuses = ()  # what the first requests get instead of the file
    ranges = True
    promises = True  # says how long the file is
    pause = 0.0  # seconds between pieces of 64 KiB
    stalls = 0  # how many of the first requests get half and then silence

    def __init__(self):
        self.requests = []
        self.sent = 0
        self.over = threading.Event()

    def answer(self, handler):
        number = len(self.requests)
        self.requests.append(handler.headers.get("Range"))
        if number < len(self.statuses):
            handler.send_error(self.statuses[number])
            return
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if wanted and self.ranges:
            start = int(wanted[1])
            if start >= len(self.content):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        else:
            handler.send_response(200)
        body = self.content[start:]
        if self.promises:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if number < len(self.breaks):
            body = body[: self.breaks[number]]
        if number < self.stalls:
            handler.wfile.write(body[: len(body) // 2])
            handler.wfile.flush()
            self.over.wait(10)
            return
        for i in range(0, len(body), 1 << 16):
            self.sent += handler.wfile.write(body[i : i + (1 << 16)])
            time.sleep(self.pause)


@contextmanager
def serving(**behaviour):
    server = Server()
    for name, value in behaviour.items():
        setattr(server, name, value)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.handle_error = lambda *_: None  # a client that hangs up is part of these tests
        server.url = f"http://127.0.0.1:{http.server_port}/weights.bin"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            http.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("MASKEDIT_OFFLINE", "MASKEDIT_MIRROR", "MASKEDIT_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def get(server, target, *, sha256=SHA256, size=SIZE, timeout=5.0, attempts=3):
    download(server.url, target, sha256=sha256, size=size, timeout=timeout, attempts=attempts, pause=0.01)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_good_file_arrives_whole_and_alone(tmp_path):
    with serving() as server:
        get(server, tmp_path / "new" / "w.bin")
    assert (tmp_path / "new" / "w.bin").read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["w.bin"]
    assert server.requests == [None]


@pytest.mark.parametrize("promises", [True, False])
def test_a_broken_line_is_taken_up_where_it_broke(tmp_path, promises):
    with serving(breaks=(98_304, 49_152), promises=promises) as server:
        get(server, tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=98304-", "bytes=147456-"]


def test_a_later_call_takes_up_what_an_earlier_one_left(tmp_path):
    with serving(breaks=(16_384 * 18 + 5,)) as server:
        with pytest.raises(CheckpointError, match="after 294,912 bytes.*it goes on where it stopped"):
            get(server, tmp_path / "w.bin", attempts=1)
        assert not (tmp_path / "w.bin").exists()
        get(server, tmp_path / "w.bin")
    assert server.requests[-1] == "bytes=294912-"  # the chunk in which it broke is asked for again
    assert (tmp_path / "w.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["w.bin"]


def test_a_line_that_brings_something_each_time_is_not_given_up(tmp_path):
    with serving(breaks=(60_000,) * 7) as server:
        get(server, tmp_path / "w.bin", attempts=2)
    assert len(server.requests) == 8
    assert (tmp_path / "w.bin").read_bytes() == CONTENT


def test_a_line_that_brings_nothing_is_given_up(tmp_path):
    with serving(breaks=(0,) * 9) as server, pytest.raises(CheckpointError, match="cannot download"):
        get(server, tmp_path / "w.bin", attempts=3)
    assert len(server.requests) == 3


def test_a_server_without_ranges_sends_all_again(tmp_path):
    with serving(breaks=(100_000,), ranges=False) as server:
        get(server, tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [None, SIZE])
def test_a_wrong_file_is_refused_and_removed(tmp_path, size):
    wrong = CONTENT[:-1] + b"?"
    sentence = f"is not the expected file; expected SHA-256 {SHA256}; got "
    with serving(content=wrong) as server, pytest.raises(CheckpointError, match=sentence):
        get(server, tmp_path / "w.bin", size=size)
    assert len(server.requests) == 1
    assert not {"w.bin", "w.bin.part"} & set(names(tmp_path))


def test_a_file_that_is_too_long_is_not_taken_to_its_end(tmp_path):
    endless = CONTENT * 100
    with serving(content=endless) as server, pytest.raises(CheckpointError, match="expected 512,000 bytes"):
        get(server, tmp_path / "w.bin")
    assert server.sent < len(endless) / 2
    assert not {"w.bin", "w.bin.part"} & set(names(tmp_path))


def test_a_file_that_is_too_short_is_refused(tmp_path):
    with serving(content=CONTENT[:1000]) as server, pytest.raises(CheckpointError, match="of 512,000 bytes"):
        get(server, tmp_path / "w.bin")
    assert not (tmp_path / "w.bin").exists()


@pytest.mark.parametrize("size", [None, SIZE])
@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * 600_000, CONTENT])
def test_what_another_download_left_does_no_harm(tmp_path, left, size):
    (tmp_path / "w.bin.part").write_bytes(left)
    with serving() as server:
        get(server, tmp_path / "w.bin", size=size)
    assert (tmp_path / "w.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["w.bin"]


def test_without_a_hash_nothing_is_resumed(tmp_path):
    (tmp_path / "w.bin.part").write_bytes(b"x" * 1000)
    with serving() as server:
        get(server, tmp_path / "w.bin", sha256=None, size=None)
    assert server.requests == [None]
    assert (tmp_path / "w.bin").read_bytes() == CONTENT


def test_a_slow_file_is_waited_for(tmp_path):
    with serving(pause=0.1) as server:
        get(server, tmp_path / "w.bin", timeout=0.5)  # slower in all than the timeout, which is for each byte
    assert server.requests == [None]
    assert (tmp_path / "w.bin").read_bytes() == CONTENT


def test_a_silent_server_is_asked_again_for_the_rest(tmp_path):
    with serving(stalls=1) as server:
        get(server, tmp_path / "w.bin", timeout=0.3)
    assert server.requests[0] is None
    assert server.requests[1].startswith("bytes=")
    assert (tmp_path / "w.bin").read_bytes() == CONTENT


def test_busy_servers_are_asked_again_and_refusals_are_not(tmp_path):
    with serving(statuses=(503, 429)) as server:
        get(server, tmp_path / "w.bin")
    assert len(server.requests) == 3
    with serving(statuses=(404,)) as server, pytest.raises(CheckpointError, match="HTTP status 404"):
        get(server, tmp_path / "other.bin")
    assert len(server.requests) == 1


def test_no_server_at_all_is_a_sentence(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/w.bin"
        with pytest.raises(CheckpointError, match="cannot download.*Is there a connection"):
            download(url, tmp_path / "w.bin", sha256=SHA256, attempts=2, pause=0.01)


def test_two_at_once_download_once(tmp_path):
    with serving(pause=0.02) as server:
        threads = [threading.Thread(target=get, args=(server, tmp_path / "w.bin")) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.requests == [None]
    assert (tmp_path / "w.bin").read_bytes() == CONTENT


# The registry on top.


def entry(*urls, **changes):
    facts = {
        "name": "tiny",
        "what": "a test",
        "file": "w.bin",
        "page": "https://example.org",
        "code": "MIT",
        "weights": "CC0",
        "data": "none",
        "loads": "nothing",
        "urls": urls,
        "size": SIZE,
        "sha256": SHA256,
    }
    return Weights(**{**facts, **changes})


def test_licences_are_told_once(tmp_path):
    told = []
    with serving() as server:
        for _ in range(2):
            assert fetch(entry(server.url), folder=tmp_path, tell=told.append) == tmp_path / "w.bin"
    assert len(server.requests) == 1
    assert len(told) == 1
    for words in ("code           MIT", "weights        CC0", "training data  none"):
        assert words in told[0]


def test_a_damaged_file_in_the_folder_is_not_used(tmp_path):
    (tmp_path / "w.bin").write_bytes(CONTENT[::-1])
    with serving() as server, pytest.raises(CheckpointError, match="is not the expected file"):
        fetch(entry(server.url), folder=tmp_path)


def test_offline_asks_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKEDIT_OFFLINE", "1")
    with serving() as server, pytest.raises(CheckpointError, match="MASKEDIT_OFFLINE forbids"):
        fetch(entry(server.url), folder=tmp_path / "cache")
    assert server.requests == []
    assert not (tmp_path / "cache").exists()
    monkeypatch.setenv("MASKEDIT_OFFLINE", "0")
    with serving() as server:
        fetch(entry(server.url), folder=tmp_path, tell=lambda _: None)


def test_the_mirror_serves_offline_and_is_verified(tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "w.bin").write_bytes(CONTENT)
    monkeypatch.setenv("MASKEDIT_OFFLINE", "1")
    monkeypatch.setenv("MASKEDIT_MIRROR", str(mirror))
    assert fetch(entry("http://127.0.0.1:9/w.bin"), folder=tmp_path) == mirror / "w.bin"
    (mirror / "w.bin").write_bytes(CONTENT + b"?")
    with pytest.raises(CheckpointError, match="expected 512,000 bytes; got 512,001 bytes"):
        fetch(entry("http://127.0.0.1:9/w.bin"), folder=tmp_path)
    monkeypatch.setenv("MASKEDIT_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="MASKEDIT_MIRROR names no folder"):
        fetch(entry("http://127.0.0.1:9/w.bin"), folder=tmp_path)


def test_ones_own_folder_is_looked_into_first(tmp_path, monkeypatch):
    own, cache = tmp_path / "own", tmp_path / "cache"
    own.mkdir()
    cache.mkdir()
    monkeypatch.setenv("MASKEDIT_OFFLINE", "1")
    monkeypatch.setenv("MASKEDIT_WEIGHTS", str(own))
    (cache / "w.bin").write_bytes(CONTENT)
    tiny = entry("http://127.0.0.1:9/w.bin")
    assert fetch(tiny, folder=cache) == cache / "w.bin"
    (own / "w.bin").write_bytes(CONTENT)
    assert fetch(tiny, folder=cache) == own / "w.bin"
    (own / "w.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(CheckpointError, match="is not the expected file"):
        fetch(tiny, folder=cache)
    (own / "tiny.safetensors").write_bytes(b"converted")  # its hash is not the published file's
    assert fetch(tiny, folder=cache) == own / "tiny.safetensors"
    monkeypatch.setenv("MASKEDIT_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="MASKEDIT_WEIGHTS names no folder"):
        fetch(tiny, folder=cache)


def test_without_a_link_one_is_told_where_to_put_the_file(monkeypatch, tmp_path):
    with pytest.raises(CheckpointError, match="Put e4e_ffhq_encode.pt into the folder that MASKEDIT_WEIGHTS names"):
        fetch("e4e-ffhq", folder=tmp_path)
    monkeypatch.setenv("MASKEDIT_WEIGHTS", str(tmp_path))
    (tmp_path / "e4e_ffhq_encode.pt").write_bytes(b"")
    assert fetch("e4e-ffhq") == tmp_path / "e4e_ffhq_encode.pt"


def test_the_next_link_is_tried_when_one_is_dead_or_wrong(tmp_path):
    with serving(statuses=(404,)) as dead, serving(content=b"wrong" * 102_400) as wrong, serving() as good:
        fetch(entry(dead.url, wrong.url, good.url), folder=tmp_path, tell=lambda _: None)
        assert (tmp_path / "w.bin").read_bytes() == CONTENT
        with pytest.raises(CheckpointError, match=r"no source has tiny; got .*404.*not the expected.*example\.org"):
            dead.requests.clear()
            fetch(entry(dead.url, wrong.url, file="x.bin"), folder=tmp_path, tell=lambda _: None)


def test_unverifiable_files_need_a_word_more(tmp_path):
    told = []
    with serving() as server:
        with pytest.raises(CheckpointError, match=r"no SHA-256 of w\.bin is known.*--unverified"):
            fetch(entry(server.url, sha256=None), folder=tmp_path)
        assert server.requests == []
        fetch(entry(server.url, sha256=None), folder=tmp_path, unverified=True, tell=told.append)
    assert told[-1] == f"Not verified. SHA-256: {SHA256}"


def test_an_unwritable_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with serving() as server, pytest.raises(InputError, match="cannot write to"):
        fetch(entry(server.url), folder=tmp_path / "file" / "below", tell=lambda _: None)


def test_the_table_is_sound():
    assert len({e.name for e in registry.DOWNLOADABLE}) == len(registry.DOWNLOADABLE)
    for e in registry.DOWNLOADABLE:
        assert not e.bundled
        assert e.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", e.sha256)
        assert all(url.startswith("https://") for url in (*e.urls, e.page))
        assert all((e.what, e.file, e.code, e.weights, e.data, e.loads))
        if e.urls:
            module, function = e.loads.split(":")
            assert callable(attrgetter(function)(importlib.import_module(module)))


def command(*words):
    parser = argparse.ArgumentParser()
    models_command.add_arguments(parser)
    return models_command.run(parser.parse_args(words))


def test_models_lists_all_with_their_licences(capsys):
    assert command() == 0
    listed = capsys.readouterr().out
    for e in registry.known():
        assert e.name in listed
        assert e.data in listed
    assert registry.find("stylegan2-ffhq-1024").sha256 in listed
    assert "381.6 MB" in listed


def test_models_tells_and_downloads(tmp_path, capsys, monkeypatch):
    with serving() as server:
        monkeypatch.setattr(registry, "DOWNLOADABLE", (entry(server.url),))
        assert command("tiny") == 0
        assert f"link           {server.url}" in capsys.readouterr().out
        assert command("tiny", "--download", "--to", str(tmp_path)) == 0
    streams = capsys.readouterr()
    assert streams.out == f"{tmp_path / 'w.bin'}\n"  # for use in scripts: the licences go beside it
    assert "Its licences" in streams.err


def test_models_refuses_in_sentences():
    with pytest.raises(InputError, match="no weights have this name; expected one of .*; got 'wheels'"):
        command("wheels")
    with pytest.raises(InputError, match="--download needs a NAME"):
        command("--download")
    with pytest.raises(CheckpointError, match="maskedit has no link to face-parsing-segformer"):
        command("face-parsing-segformer", "--download")


def test_bundled_weights_say_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    about = {"what": "a parser", "licence": "CC0", "data": "synthetic faces"}
    save_file({"a": torch.ones(2)}, tmp_path / "parser.safetensors", about)
    found = registry.find("parser")
    assert found.bundled
    assert (found.what, found.weights, found.data) == ("a parser", "CC0", "synthetic faces")
    assert found.sha256 == hashlib.sha256((tmp_path / "parser.safetensors").read_bytes()).hexdigest()
    assert fetch("parser") == tmp_path / "parser.safetensors"


def test_downloads_are_kept_beside_torch_hubs(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert registry.cache_folder() == tmp_path / "hub" / "maskedit"
