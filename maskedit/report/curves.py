"""Loss curves of a run, from its history."""

import os

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.files import replacing
from maskedit.solve import History


def loss_curves(history: History, path: str | os.PathLike[str]) -> None:
    """Every term with its weight, step by step, as PNG: the mean over the batch, stages marked.

    Args:
        history: of a result.
        path: where to write it.

    Raises:
        InputError: if matplotlib is not installed.
        FileError: if the file cannot be written.
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


def _means(values: Float[Tensor, "b t"]) -> Float[Tensor, " t"]:
    """Mean over the images that moved at each step."""
    return values.detach().float().nanmean(dim=0).cpu()
