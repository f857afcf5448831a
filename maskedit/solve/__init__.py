"""The only mutation: the loop, what it remembers and saves, and what it gives."""

from maskedit.solve.loop import steps
from maskedit.solve.result import History, Result, Step
from maskedit.solve.result_file import load_result
from maskedit.solve.whole_run import run

__all__ = ["History", "Result", "Step", "load_result", "run", "steps"]
