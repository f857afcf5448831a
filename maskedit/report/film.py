"""A film of what a run shows, as an animated GIF."""

import os

from maskedit.errors import InputError
from maskedit.files import replacing
from maskedit.report.pictures import scaled
from maskedit.solve import Step
from maskedit.types import Image


class Film:
    """Collects what a run shows, ``watch=film``, and writes it as an animated GIF.

    Args:
        every: keep one step in so many.
        image: which image of the batch.
    """

    def __init__(self, *, every: int = 10, image: int = 0) -> None:
        if every < 1:
            raise InputError("a film keeps one step in so many", expected="every >= 1", actual=str(every))
        self.every, self.image = every, image
        self.frames: list[Image] = []

    def __call__(self, step: Step) -> None:
        """Keep the step's picture if it is its turn, and the step has one."""
        if step.index % self.every == 0 and step.image is not None:
            self.frames.append(step.image[self.image : self.image + 1].detach().clamp(0, 1).cpu())

    def save(self, path: str | os.PathLike[str], *, height: int = 256, seconds: float = 6.0) -> None:
        """Write what was collected; the last frame stays for a second.

        Raises:
            InputError: if nothing was collected.
            FileError: if the file cannot be written.
        """
        if not self.frames:
            raise InputError("the film is empty", hint="Pass it to a run: run(..., watch=film).")
        pictures = [scaled(frame, height) for frame in self.frames]
        pace = max(20, round(1000 * seconds / len(pictures)))
        with replacing(path) as file:
            pictures[0].save(
                file,
                format="GIF",
                save_all=True,
                append_images=pictures[1:],
                duration=[pace] * (len(pictures) - 1) + [1000],
                loop=0,
            )
