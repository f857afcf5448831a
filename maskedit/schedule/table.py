"""How a schedule prints: stage x steps x variables x terms and weights, as text and as HTML."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from maskedit.schedule.variables import Unchanged
from maskedit.terms import show_rate

if TYPE_CHECKING:
    from maskedit.schedule.schedule import Schedule
    from maskedit.schedule.stage import Stage

HEAD = ("stage", "steps", "varies", "weight", "term")


def text(schedule: "Schedule") -> str:
    """The table in aligned columns, and the blend that ends it."""
    rows = [HEAD, *_rows(schedule)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in [*lines, f"then: {_ending(schedule)}"])


def html(schedule: "Schedule") -> str:
    """The table for a notebook."""

    def row(cells: tuple[str, ...], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind} style='text-align:left'>{escape(c)}</{kind}>" for c in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in _rows(schedule))
    return f"<table>{row(HEAD, 'th')}{body}</table><p>then: {escape(_ending(schedule))}</p>"


def _rows(schedule: "Schedule") -> Iterator[tuple[str, ...]]:
    for stage in schedule:
        varies = str(stage.vary) if isinstance(stage.vary, Unchanged) else " + ".join(map(str, stage.variables))
        left = (stage.name, str(stage.steps), varies)
        for term in stage.terms:
            yield (*left, show_rate(term.weight), f"{term.name}: {term.describe()}")
            left = ("", "", "")
        yield from (("", "", f"  {line}", "", "") for line in _extras(stage))


def _ending(schedule: "Schedule") -> str:
    return "the generated image as it is" if schedule.blend is None else str(schedule.blend)


def _extras(stage: "Stage") -> list[str]:
    lines = [
        f"{when}: {', '.join(_show(event) for event in events)}"
        for when, events in (
            ("on entering", stage.on_enter),
            ("before backward", stage.before_backward),
            ("after each step", stage.after_step),
        )
        if events
    ]
    if stage.stop is not None:
        lines.append(f"stops when {stage_stop(stage)}")
    if stage.keep_best:
        lines.append("keeps the best step")
    return lines


def stage_stop(stage: "Stage") -> str:
    """The stage's rule for stopping, in words."""
    return getattr(stage.stop, "__qualname__", None) or str(stage.stop)


def _show(event: object) -> str:
    return getattr(event, "__qualname__", None) or repr(event)
