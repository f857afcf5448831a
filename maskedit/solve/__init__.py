"""The only mutation: the loop, what it remembers and saves, and what it gives."""

from maskedit.solve.loop import run, steps
from maskedit.solve.result import History, Result, Step
from maskedit.solve.result_file import load_result

__all__ = ["History", "Result", "Step", "load_result", "run", "steps"]
