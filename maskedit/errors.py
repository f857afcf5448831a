"""What maskedit raises: one sentence on what is wrong, what was expected, what came, what to do."""


class MaskeditError(Exception):
    """Base of every error that maskedit raises on purpose.

    Args:
        problem: what is wrong, as a clause without a full stop.
        expected: what would have been right.
        actual: what came instead.
        hint: what to do about it.
    """

    def __init__(self, problem: str, *, expected: str = "", actual: str = "", hint: str = "") -> None:
        self.problem, self.expected, self.actual, self.hint = problem, expected, actual, hint
        parts = [problem]
        if expected:
            parts.append(f"expected {expected}")
        if actual:
            parts.append(f"got {actual}")
        super().__init__("; ".join(parts) + "." + (f" {hint}" if hint else ""))


class InputError(MaskeditError, ValueError):
    """A value that the caller passed is wrong: a shape, a range, an unknown name."""


class CheckpointError(MaskeditError, ValueError):
    """A file cannot be read as what it should be: truncated, foreign, hostile, or of another run."""


class PhotoError(MaskeditError, ValueError):
    """A photo cannot be edited: unreadable, no face in it, or more than one."""


class FileError(MaskeditError, RuntimeError):
    """A file cannot be written: no such folder, no permission, a full disk."""


class RunError(MaskeditError, RuntimeError):
    """An optimisation cannot go on, though its inputs were right."""
