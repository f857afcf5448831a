"""Files that are written whole or not at all: first under a temporary name, then renamed."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskedit.errors import PhotoError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[io.BufferedWriter]:
    """A binary file that takes the place of ``path`` when the block ends well, and leaves no trace otherwise.

    Raises:
        PhotoError: if the folder cannot be written to.
    """
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp gives the owner alone access
        os.replace(temporary, path)
    except OSError as error:
        raise PhotoError(f"cannot write {path}", actual=reason(error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return (error.strerror or str(error)).lower()


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
