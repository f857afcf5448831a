"""``maskedit inspect FILE``: what a checkpoint is, without loading its weights."""

import argparse
import sys
from pathlib import Path

from maskedit.models.files.inspect import inspect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", type=Path, help="a torch checkpoint, NVIDIA's pickle, or safetensors")


def run(args: argparse.Namespace) -> int:
    """Prints what the file is."""
    facts = inspect(args.file)
    width = max(map(len, facts)) + 2
    sys.stdout.writelines(f"{name:<{width}}{value}\n" for name, value in facts.items())
    return 0
