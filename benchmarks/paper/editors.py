"""The editors of a comparison: the paper's method and its five rivals, on the bundled models and files of yours."""

import argparse
from pathlib import Path

from maskedit.editors import Editor, InterFaceGAN, MaskFaceGAN, attgan, going_together, stargan, stgan
from maskedit.errors import InputError
from maskedit.models.files.boundaries import load_boundaries
from maskedit.protocols import Models

TRANSLATORS = {"stargan": stargan, "attgan": attgan, "stgan": stgan}
NAMES = (*TRANSLATORS, "interfacegan", "interfacegan-d", "maskfacegan")
"""In the order of the paper's tables."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--editors", default=",".join(NAMES), help="which, separated by commas (%(default)s)")
    for name in TRANSLATORS:
        parser.add_argument(
            f"--{name}", type=Path, help=f"file of its generator: maskedit train {name}, or the released"
        )
    parser.add_argument(
        "--boundaries", type=Path, help="of InterFaceGAN: maskedit train boundaries, or a folder of .npy"
    )


def make_editors(options: argparse.Namespace, models: Models) -> dict[str, Editor]:
    """The editors that a command line asks for, by their short names.

    Raises:
        InputError: if one is unknown, or its file is not given.
    """
    return {name: make_editor(name, options, models) for name in options.editors.split(",")}


def make_editor(name: str, options: argparse.Namespace, models: Models) -> Editor:
    """One of ``NAMES``."""
    if name == "maskfacegan":
        return MaskFaceGAN(models)
    if name in TRANSLATORS:
        assert models.classifier is not None
        return TRANSLATORS[name](_given(options, name), classifier=models.classifier)
    if name not in NAMES:
        raise InputError(f"no editor is called {name!r}", expected=", ".join(NAMES))
    boundaries = load_boundaries(_given(options, "boundaries"))
    if name == "interfacegan":
        return InterFaceGAN(models, boundaries)
    return InterFaceGAN(models, boundaries, conditions=going_together(boundaries), name="InterFaceGAN-D")


def _given(options: argparse.Namespace, name: str) -> Path:
    path: Path | None = getattr(options, name)
    if path is None:
        raise InputError(f"--{name} is not given", expected="a file", hint="Or leave it out of --editors.")
    return path
