"""A table of figures, as it is printed and as JSON."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Figures under a title; ``str`` gives Markdown, as the models' card has it.

    Args:
        title: what the figures are of.
        head: names of the columns.
        rows: a name, then numbers; NaN where there is no figure.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | float | int, ...], ...]

    def __str__(self) -> str:
        lines = [self.head, ("---",) + ("---:",) * (len(self.head) - 1), *(map(shown, row) for row in self.rows)]
        return "\n".join([f"{self.title}:", "", *("| " + " | ".join(line) + " |" for line in lines), ""])

    def json(self) -> dict[str, object]:
        """Title and rows, each a mapping from column to figure; None where there is none."""
        rows = [{name: _plain(cell) for name, cell in zip(self.head, row, strict=True)} for row in self.rows]
        return {"title": self.title, "rows": rows}


def shown(cell: str | float | int) -> str:
    """A cell as it is printed: numbers with four digits at most."""
    if isinstance(cell, str):
        return cell
    return "–" if math.isnan(cell) else f"{cell:.4g}"


def _plain(cell: str | float | int) -> str | float | int | None:
    return None if isinstance(cell, float) and math.isnan(cell) else cell
