"""Files that are written whole or not at all, and their hashes."""

import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskedit.errors import FileError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[io.BufferedWriter]:
    """A binary file that takes the place of ``path`` when the block ends well, and leaves no trace otherwise.

    What was written is on the disk before it has its name, so a power cut leaves the old file or the new one. Each
    writer has a temporary file of its own, beside ``path``: of two that write one path, the last to end wins.

    Raises:
        FileError: if the file cannot be written: no such folder, no permission, a full disk.
    """
    path = Path(path)
    # Cut, so that the temporary name is no longer than names may be.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"cannot write {path}", actual=reason(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write bytes, or text in UTF-8, in place of ``path``, whole or not at all.

    Raises:
        FileError: as :func:`replacing`.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return (error.strerror or str(error)).lower()
