"""The procedures of the paper and of its released program, shorter ones, and one for small generators, as Schedules."""

from maskedit.recipes.recipes import Falling, balanced, fast, global_edit, paper, plausible, released

__all__ = [
    "Falling",
    "balanced",
    "fast",
    "global_edit",
    "paper",
    "plausible",
    "released",
]
