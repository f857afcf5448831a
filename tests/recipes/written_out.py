"""A stage written out by hand, to hold a recipe's to: everything that it does, as it prints."""

from collections.abc import Sequence

import maskedit as me


def line(stage: me.Stage) -> tuple[object, ...]:
    """All that a stage does; weights, settings, regions, targets and rates are in what its parts print."""
    vary = stage.vary if isinstance(stage.vary, Sequence) else [stage.vary]
    return (
        stage.name,
        stage.steps,
        repr(stage.terms),
        stage.terms.asks,
        [str(variable) for variable in vary],
        tuple(stage.on_enter),
        tuple(stage.before_backward),
        tuple(stage.after_step),
        stage.stop,
        stage.keep_best,
    )


def check(schedule: me.Schedule, blend: me.Blend, *stages: me.Stage) -> None:
    """The schedule has these stages and this blend, and no other."""
    for stage, expected in zip(schedule, stages, strict=True):
        assert line(stage) == line(expected)
    assert schedule.blend == blend
