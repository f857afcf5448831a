"""Bringing one file from the web: resumed where it broke off, verified, and under its name only when whole.

The client is ``requests`` (the extra ``download``) with HTTP ranges: pooch verifies and writes atomically, but cannot
resume, and a generator's 380 MB over a bad line need that.
"""

import os
import time
from pathlib import Path

from maskedit import files
from maskedit.errors import CheckpointError, InputError

CHUNK = 1 << 14  # bytes; a chunk that the line breaks in is lost, so it is small


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None,
    size: int | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
    pause: float = 1.0,
) -> None:
    """Downloads ``url`` to ``target``, showing a progress bar on a terminal.

    What arrives is kept beside the target as ``NAME.part``. A broken download goes on from there, now or when called
    again; without a hash nothing could tell whether the parts belong together, so it starts anew. Processes that
    want the same file wait for each other.

    Args:
        url: http or https.
        target: the file to write; its folder is made if need be.
        sha256: expected hash, in hexadecimal; None verifies nothing but the size.
        size: expected size in bytes, if known.
        timeout: seconds to wait for a connection, and for each next byte.
        attempts: how many times in a row a try may bring nothing new.
        pause: seconds to wait after the first failed try, doubled after each next one.

    Raises:
        CheckpointError: if the file cannot be had, or is not the expected one; nothing is then at ``target``.
        InputError: if ``requests`` is not installed.
    """
    from filelock import FileLock  # a requirement of torch

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    lock = target.with_name(target.name + ".lock")
    with FileLock(lock):
        if target.exists():  # brought by the process that we waited for
            return
        if sha256 is None:
            part.unlink(missing_ok=True)
        while True:
            resumed = part.exists()
            _bring(url, part, size=size, timeout=timeout, attempts=attempts, pause=pause)
            try:
                verify(part, sha256=sha256, size=size, name=url)
                break
            except CheckpointError:
                part.unlink()
                if not resumed:
                    raise
                # What was there may have been the start of another file: once more, without it.
        os.replace(part, target)
        lock.unlink(missing_ok=True)  # whoever waits for it finds the target


def verify(path: Path, *, sha256: str | None, size: int | None, name: str | None = None) -> None:
    """Checks a file's size and hash, as far as they are known.

    Raises:
        CheckpointError: if they differ.
    """
    name = name or str(path)
    found = path.stat().st_size
    if size is not None and found != size:
        raise CheckpointError(f"{name} is not the expected file", expected=f"{size:,} bytes", actual=f"{found:,} bytes")
    if sha256 is not None and (actual := files.sha256(path)) != sha256:
        raise CheckpointError(
            f"{name} is not the expected file",
            expected=f"SHA-256 {sha256}",
            actual=actual,
            hint="It was damaged on the way, or replaced at its source; do not use it.",
        )


def _bring(url: str, part: Path, *, size: int | None, timeout: float, attempts: int, pause: float) -> None:
    """Adds to ``part`` until the server has no more, trying again whenever the line breaks."""
    try:
        import requests
    except ImportError:
        raise InputError("downloading needs requests", hint="pip install 'maskedit[download]'.") from None

    failures, furthest = 0, _size(part)
    while True:
        try:
            _continue(url, part, size=size, timeout=timeout)
            if size is None or _size(part) >= size:
                return
            reason = f"the server stopped at {_size(part):,} of {size:,} bytes"
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            if 400 <= status < 500 and status not in (408, 429):  # it will not change by asking again
                raise CheckpointError(f"cannot download {url}", actual=f"HTTP status {status}") from None
            reason = f"HTTP status {status}"
        except requests.RequestException as error:
            reason = f"{type(error).__name__} after {_size(part):,} bytes"
        failures = 1 if _size(part) > furthest else failures + 1
        furthest = max(furthest, _size(part))
        if failures >= attempts:
            hint = "Ask again later: it goes on where it stopped." if part.exists() else "Is there a connection?"
            raise CheckpointError(f"cannot download {url}", actual=reason, hint=hint)
        time.sleep(pause * 2 ** (failures - 1))


def _continue(url: str, part: Path, *, size: int | None, timeout: float) -> None:
    """One request for what ``part`` lacks."""
    import requests
    from tqdm import tqdm

    have = _size(part)
    if size is not None and have >= size:
        return
    headers = {"Accept-Encoding": "identity"}  # bytes as they are, so that ranges and sizes mean the file's
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416:  # nothing lies after what we have: it is whole, or not of this file
            if size is not None:
                part.unlink()
            return
        response.raise_for_status()
        if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server knows no ranges, and sends all
        length = int(response.headers.get("Content-Length") or 0)
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                total=size or have + length or None,
                initial=have,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=None,  # on a terminal only
            ) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
                have += len(chunk)
                if size is not None and have > size:  # another file; it might have no end
                    return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
