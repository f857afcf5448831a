"""The only mutation: the loop, what it remembers and saves, and what it gives."""

from maskedit.solve.loop import run, steps
from maskedit.solve.result import History, Result, Step

__all__ = [
    "History",
    "Result",
    "Step",
    "run",
    "steps",
]
