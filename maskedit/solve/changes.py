"""What an event wants changed, checked and put into the state."""

from collections.abc import Mapping

from jaxtyping import Bool
from torch import Tensor

from maskedit.errors import RunError
from maskedit.schedule import Change, Event
from maskedit.solve.state import State, chosen


def apply(event: Event, change: Change, state: State, moving: Bool[Tensor, " b"]) -> dict[str, Tensor]:
    """Put grown masks and memory into the state, for the images that move.

    Returns:
        New values for what is drawn from, by name: the loop tells them to the variables too.

    Raises:
        RunError: if something has the wrong shape or an unknown name.
    """
    values = dict(change.given)
    if change.latent is not None:
        values["latent"] = change.latent
    if change.noises is not None:
        count = sum(name.startswith("noise.") for name in state.given)
        if len(change.noises) != count:
            raise RunError(f"{event!r} returned {len(change.noises)} noise maps", expected=str(count))
        values |= {f"noise.{i}": noise for i, noise in enumerate(change.noises)}
    for name, value in values.items():
        if name not in state.given:
            raise RunError(f"{event!r} changes {name!r}", expected=f"one of {', '.join(state.given)}")
        _check_shape(event, name, value, state.given[name])
    if change.grown is not None:
        _check_shape(event, "grown", change.grown, state.grown)
        state.grown = chosen(moving, change.grown, state.grown)
    _remember(event, change.memory, state, moving)
    return values


def _remember(event: Event, memory: Mapping[str, Tensor], state: State, moving: Bool[Tensor, " b"]) -> None:
    for name, value in memory.items():
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != len(moving):
            raise RunError(
                f"{event!r} remembers {name!r} without a value for each image",
                expected=f"a tensor [{len(moving)}, ...]",
                actual=str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__,
            )
        before = state.memory.get(name)
        new = value.detach()
        state.memory[name] = new if before is None or before.shape != new.shape else chosen(moving, new, before)


def _check_shape(event: Event, name: str, new: Tensor, old: Tensor) -> None:
    if not isinstance(new, Tensor) or new.shape != old.shape:
        raise RunError(
            f"{event!r} returned a {name} of the wrong shape",
            expected=str(list(old.shape)),
            actual=str(list(new.shape)) if isinstance(new, Tensor) else type(new).__name__,
        )
