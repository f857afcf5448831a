"""``maskedit train``: all trainings, each by its preset, and the curves of their logs."""

import argparse
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

from maskedit.errors import InputError, MaskeditError
from maskedit.files import replacing

TRAININGS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "generator": {"bundled": ("generator", "StyleGAN2's synthesis and an encoder to W+, as one autoencoder")},
    "encoder": {"bundled": ("encoder", "an encoder to W+ for a generator that stays as it is")},
    "parser": {
        "bundled": ("parser", "the nine regions, from photos with measured regions, more from those the eye corrected"),
        "datasetgan": ("datasetgan", "the paper's: a few labelled pictures, an ensemble on the generator's features"),
        "datasetgan-small": ("datasetgan", "the same for a small generator, in minutes"),
    },
    "classifier": {
        "bundled": ("classifier", "attributes in branches, from photos with attributes measured or given by eye"),
        "paper": ("tree", "the paper's: its tree, Nesterov momentum, weighted binary cross-entropy"),
    },
    "judge": {"bundled": ("judge", "a second classifier of another kind, for success that nothing was optimised for")},
    "landmarks": {"bundled": ("landmarks", "the 68 points of a face, for alignment")},
    "boundaries": {"bundled": ("boundaries", "InterFaceGAN's directions of attributes, for a generator as it is")},
    "stargan": {
        "small": ("stargan", "a rival of the paper, at 64 px: one generator, told the wanted labels"),
        "paper": ("stargan", "the same as released: 128 px, 200,000 iterations"),
    },
    "attgan": {
        "small": ("attgan", "a rival of the paper, at 64 px: encoder, and decoder told the wanted attributes"),
        "paper": ("attgan", "the same as released: 128 px, 200 epochs of CelebA"),
    },
    "stgan": {
        "small": ("stgan", "a rival of the paper, at 64 px: AttGAN with selective transfer units, told the difference"),
        "paper": ("stgan", "the same as released: 128 px"),
    },
    "embedding": {"bundled": ("embedding", "64 numbers that tell photos apart, for figures")},
}
"""What can be trained -> preset -> its module in ``maskedit.training``, and what it is. The first is the default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    lines = ["what can be trained, and its presets (the first is the default):", ""]
    for what, presets in TRAININGS.items():
        lines += [f"  {what:<11} {preset:<17} {about}" for preset, (_, about) in presets.items()]
    lines += [
        "",
        "maskedit train WHAT --preset NAME --help lists all numbers and options of one; --print shows the numbers as",
        "JSON. The same command goes on after a stop. docs/training.md says what a folder of faces needs.",
    ]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(lines)
    parser.usage = "maskedit train WHAT [--preset NAME] OPTIONS\n       maskedit train --plot RUN"
    parser.add_argument("--plot", type=Path, metavar="RUN", help="write the curves of a training's log, RUN/log.png")
    parser.add_argument("what", nargs="?", metavar="WHAT", help=", ".join(TRAININGS))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run a training to its end, or plot its log.

    Raises:
        InputError: if there is no such training, preset or log.
    """
    if args.plot:
        print(plot(args.plot))
        return 0
    if args.what not in TRAININGS:
        raise InputError("nothing of that name can be trained", expected=", ".join(TRAININGS), actual=str(args.what))
    presets = TRAININGS[args.what]
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default=next(iter(presets)))
    chosen, others = first.parse_known_args(args.rest)
    if chosen.preset not in presets:
        raise InputError(
            f"the {args.what} has no such preset", expected=" or ".join(presets), actual=repr(chosen.preset)
        )
    place = presets[chosen.preset][0]
    try:
        module = importlib.import_module(f"maskedit.training.{place}")
    except ModuleNotFoundError as error:
        raise MaskeditError(f"{args.what} needs a package that is not here", actual=str(error)) from error
    try:
        module.main(["--preset", chosen.preset, *others])
    except KeyboardInterrupt:
        sys.stderr.write("maskedit: interrupted; the same command goes on from the last checkpoint.\n")
        return 130
    return 0


def plot(folder: Path) -> Path:
    """Draw the curves of a training's ``log.jsonl``, one axis for each thing that it logged; returns the picture.

    Raises:
        InputError: if the folder has no log.
        CheckpointError: if it is damaged.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("curves need matplotlib", hint="pip install 'maskedit[plots]'.") from error

    from maskedit.training.loop import read_log

    lines = read_log(folder / "log.jsonl")
    if not lines:
        raise InputError(f"{folder} has no log to plot", expected="log.jsonl, as a training writes it")
    names = [name for name in lines[-1] if name not in ("step", "seconds")]
    figure = Figure(figsize=(7, 2.2 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    for i, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, i + 1)
        seen = [line for line in lines if name in line]
        axes.plot([line["step"] for line in seen], [line[name] for line in seen])
        axes.set_ylabel(name.replace("_", " "))
        axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    path = folder / "log.png"
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
    return path
