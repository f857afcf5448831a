"""What people look at: a progress bar while a run goes; contact sheets, loss curves and films when it ends."""

import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.photo.files import replacing, to_picture
from maskedit.result import History, Step
from maskedit.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from tqdm import tqdm


def progress() -> "Progress":
    """A bar for ``run(..., watch=progress())``: stage, step, each term with its weight, time left.

    It goes to stderr and closes itself at the last planned step. Use it as a context manager where the
    last stage may stop early, or where other output follows at once.
    """
    return Progress()


class Progress:
    """A progress bar that is called with each step; see :func:`progress`."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._last: Step | None = None

    def __call__(self, step: Step) -> None:
        """Show one step."""
        if self._bar is None:
            from tqdm import tqdm

            # In a log, where lines pile up, one line in ten seconds is enough.
            pause = 0.1 if sys.stderr.isatty() else 10.0
            self._bar = tqdm(total=step.planned, initial=step.index, mininterval=pause, dynamic_ncols=True, unit="step")
        last = self._last
        if last is not None and last.stage != step.stage:
            self._bar.total -= last.steps - last.step - 1  # steps that an early stop has saved
        terms = "  ".join(f"{name} {_mean(value):.3g}" for name, value in step.weighted.items())
        self._bar.set_description_str(f"{step.stage} {step.step + 1}/{step.steps}", refresh=False)
        self._bar.set_postfix_str(terms, refresh=False)
        self._bar.update()
        self._last = step
        if self._bar.n >= self._bar.total:
            self.close()

    def close(self) -> None:
        """Leave the bar as it stands. Closing twice does no harm."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def sheet(columns: Mapping[str, Float[Tensor, "b _ _ _"]], path: str | os.PathLike[str], *, height: int = 256) -> None:
    """A contact sheet as PNG: a row for each image of the batch, a captioned column for each kind.

    Args:
        columns: caption -> images ``[b, 3, h, w]`` or masks ``[b, 1, h, w]`` in [0, 1], of any sizes.
        path: where to write it.
        height: of each picture on the sheet, in pixels.

    Raises:
        InputError: if the columns are empty or hold different numbers of images.
        PhotoError: if the file cannot be written.
    """
    from PIL import Image as pil
    from PIL import ImageDraw, ImageFont

    counts = {caption: len(images) for caption, images in columns.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputError("the columns of a sheet do not fit", expected="as many images in each", actual=str(counts))
    rows = [[_scaled(images[i : i + 1], height) for images in columns.values()] for i in range(max(counts.values()))]
    widths = [max(row[column].width for row in rows) for column in range(len(columns))]
    gap, line = max(4, height // 32), max(14, height // 14)
    size = sum(widths) + gap * (len(widths) + 1), line + 2 * gap + (height + gap) * len(rows)
    page = pil.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(line * 0.8)
    x = gap
    for column, caption in enumerate(columns):
        draw.text((x, gap), caption, fill="black", font=font)
        for i, row in enumerate(rows):
            page.paste(row[column], (x, line + 2 * gap + i * (height + gap)))
        x += widths[column] + gap
    with replacing(path) as file:
        page.save(file, format="PNG")


def loss_curves(history: History, path: str | os.PathLike[str]) -> None:
    """Every term with its weight, step by step, as PNG: the mean over the batch, stages marked.

    Args:
        history: of a result.
        path: where to write it.

    Raises:
        InputError: if matplotlib is not installed.
        PhotoError: if the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # no pyplot: it would choose a window system
    except ImportError as error:
        raise InputError("loss curves need matplotlib", hint="Run: pip install 'maskedit[plots]'.") from error
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="step", ylabel="weighted loss", yscale="log")
    names = list(dict.fromkeys(key.split(".", 1)[1] for key in history.weighted))
    begin = 0
    for stage, steps in history.stages:
        for name in names:
            values = history.weighted.get(f"{stage}.{name}")
            if values is not None:
                label = name if not any(name == line.get_label() for line in axes.lines) else "_"
                at = torch.arange(begin, begin + steps)
                axes.plot(at, _means(values), color=f"C{names.index(name) % 10}", label=label, linewidth=1.2)
        axes.axvline(begin, color="0.8", linewidth=0.8, zorder=0)
        place = axes.get_xaxis_transform()  # steps to the right, shares of the height upwards
        axes.text(begin, 0.98, f" {stage}", transform=place, va="top", color="0.4", fontsize="small")
        begin += steps
    axes.plot(torch.arange(begin), _means(history.total), color="0.2", label="total", linewidth=0.8, linestyle=":")
    axes.legend(loc="upper right", fontsize="small")
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)


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
            PhotoError: if the file cannot be written.
        """
        if not self.frames:
            raise InputError("the film is empty", hint="Pass it to a run: run(..., watch=film).")
        pictures = [_scaled(frame, height) for frame in self.frames]
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


def _scaled(image: Float[Tensor, "1 _ _ _"], height: int) -> "Picture":
    """One image or mask as a picture of that height."""
    from PIL import Image as pil

    picture = to_picture(image.detach().expand(1, 3, *image.shape[2:]))
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), pil.Resampling.LANCZOS)


def _mean(values: Float[Tensor, " b"]) -> float:
    """Mean of the finite ones, as a number to print."""
    return values.detach().nanmean().item()


def _means(values: Float[Tensor, "b t"]) -> Float[Tensor, " t"]:
    """Mean over the images that moved at each step."""
    return values.detach().float().nanmean(dim=0).cpu()
