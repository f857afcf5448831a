"""The command ``maskedit``. Each of its commands is a module with ``add_arguments(parser)`` and ``run(args)``."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence

from maskedit import __version__
from maskedit.errors import MaskeditError

COMMANDS = {
    "edit": ("maskedit.commands.edit", "edit the face in a photo"),
    "train": ("maskedit.commands.train", "train a model on a folder of faces"),
    "models": ("maskedit.commands.models", "list models and their licences, and bring them here"),
    "inspect": ("maskedit.commands.inspect", "say what a checkpoint is, without running or loading it"),
    "convert": ("maskedit.commands.convert", "turn a StyleGAN2 checkpoint into safetensors"),
}
"""Name -> its module, which is imported when the command is called, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the process by default.

    Returns:
        0; 2 if something that was asked for cannot be, with a sentence on stderr; 130 after Ctrl-C.

    Raises:
        SystemExit: from argparse, with 2 for arguments that it does not understand, 0 after help.
    """
    for stream in (sys.stdout, sys.stderr):  # a code page that lacks a letter must not end what is done
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="maskedit", description="Edit pictures by optimising a GAN's latent code.")
    parser.add_argument("--version", action="version", version=f"maskedit {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (place, about) in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        if name in given[:1]:
            module = importlib.import_module(place)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(given)
    try:
        return int(args.run(args))
    except MaskeditError as error:
        sys.stderr.write(f"maskedit: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("maskedit: interrupted; nothing was written.\n")
        return 130
    except BrokenPipeError:  # the reader has seen enough: maskedit models | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
