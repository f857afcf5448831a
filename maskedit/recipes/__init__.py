"""The procedures of the paper and of its released program, shorter ones, and one for small generators, as Schedules.

Each takes an Edit, or a short form of one, and is an ordinary schedule: print it to see all that it does, copy it to
change it.

>>> [stage.name for stage in paper("smiling")]
['fit', 'edit', 'settle', 'detail']
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from maskedit.recipes._fast import Falling, balanced, fast
from maskedit.recipes._global_edit import global_edit
from maskedit.recipes._paper import paper
from maskedit.recipes._plausible import plausible
from maskedit.recipes._released import released
from maskedit.recipes.recipe import Recipe

RECIPES: Mapping[str, Callable[..., Recipe]] = MappingProxyType(
    {recipe.__name__: recipe for recipe in (plausible, fast, balanced, paper, released)}
)
"""Name -> the recipe for edits of parts of a face."""

__all__ = [
    "RECIPES",
    "Falling",
    "Recipe",
    "balanced",
    "fast",
    "global_edit",
    "paper",
    "plausible",
    "released",
]
