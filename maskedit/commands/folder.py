"""A folder that receives several files together: all of them, or none."""

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from maskedit.errors import PhotoError
from maskedit.files import reason


class Folder:
    """Where the files of one piece of work go, found fit for them before the work is done.

    Args:
        path: the folder; it is made when it is filled.
        names: the files that will be in it.
        replace: whether files of these names may be replaced.

    Raises:
        PhotoError: if such files cannot be written there, or are there already and may not be replaced.
    """

    def __init__(self, path: Path, names: Sequence[str], *, replace: bool = False) -> None:
        self.path, self.names = path, tuple(names)
        place = path.absolute()
        while not os.path.lexists(place) and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise PhotoError(f"cannot write to {path}", actual=f"{place} is no folder")
        try:
            with tempfile.TemporaryDirectory(dir=place, prefix=".edit-") as aside:
                for name in (*path.absolute().relative_to(place).parts, *names):
                    Path(aside, name).touch()
        except OSError as error:
            raise PhotoError(f"cannot write to {path}", actual=reason(error)) from error
        for name in names:
            there = path / name
            if there.is_dir() and not there.is_symlink():
                raise PhotoError(f"cannot write {there}", actual="a folder of that name")
            if os.path.lexists(there) and not replace:
                raise PhotoError(
                    f"there is a file {there} already", hint="Choose another folder with --out, or say --force."
                )

    def fill(self, write: Callable[[Path], None]) -> list[Path]:
        """Let ``write`` make the files in a folder aside, then put all of them in their places, or none.

        Returns:
            Their paths, by name.

        Raises:
            PhotoError: if a file cannot be made or put there; all is then as it was.
        """
        new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.path, prefix=".edit-") as aside:
                made, former = Path(aside, "made"), Path(aside, "former")
                made.mkdir()
                former.mkdir()
                write(made)
                return self._put(made, former)
        except BaseException as error:
            if new and self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()
            if isinstance(error, OSError):
                raise PhotoError(f"cannot write to {self.path}", actual=reason(error)) from error
            raise

    def _put(self, made: Path, former: Path) -> list[Path]:
        """Each file in its place; what was there is kept until all are, and put back if one fails."""
        paths = [self.path / file.name for file in sorted(made.iterdir())]
        done: list[Path] = []
        try:
            for path in paths:
                done.append(path)
                if os.path.lexists(path):
                    os.replace(path, former / path.name)
                os.replace(made / path.name, path)
        except BaseException:
            for path in done:
                with suppress(FileNotFoundError):
                    if not (made / path.name).exists():
                        path.unlink()
                    os.replace(former / path.name, path)
            raise
        return paths
