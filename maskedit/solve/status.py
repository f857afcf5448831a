"""What happened to each image, in a sentence."""

from maskedit.schedule import Schedule
from maskedit.solve.state import State


def sentence(state: State, schedule: Schedule, image: int, shown: bool) -> str:
    """Notes, and how it ended.

    Args:
        state: of the run.
        schedule: of the run.
        image: which.
        shown: whether its picture is finite.
    """
    parts = list(state.notes[image])
    if bool(state.active[image]):
        if state.stage < len(schedule.stages):
            stage = schedule.stages[state.stage]
            parts.append(f"ended early in stage {stage.name!r}, after {state.step} of {stage.steps} steps")
        else:
            parts.append("finished")
    if not shown:
        parts.append("the generated image is not finite: the input is returned")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."
