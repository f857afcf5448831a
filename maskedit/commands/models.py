"""``maskedit models``: list weights and their licences, and bring them here."""

import argparse
import sys
from pathlib import Path

from maskedit.errors import InputError
from maskedit.models.weights.bundled import WEIGHTS
from maskedit.models.weights.registry import Weights, card, fetch, find, known


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``maskedit models``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="tell all about these weights; none lists all")
    parser.add_argument("--download", action="store_true", help="bring the named weights here and print their paths")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where to keep them (torch hub's folder if not given)"
    )
    parser.add_argument("--unverified", action="store_true", help="also take files whose SHA-256 is unknown")


def run(args: argparse.Namespace) -> int:
    """Lists all weights, tells more about the named ones, or downloads them.

    Raises:
        MaskeditError: if a name is unknown, or a file cannot be had.
    """
    entries = [find(name) for name in args.names]
    if args.download:
        if not entries:
            raise InputError("--download needs a NAME", hint="maskedit models lists the names.")
        for entry in entries:
            _say(str(fetch(entry, folder=args.to, unverified=args.unverified, tell=_remark)))
    elif entries:
        _say("\n\n".join(card(entry) + "\n" + _origin(entry) for entry in entries))
    else:
        _say("\n\n".join(card(entry) for entry in known()))
        _say("\nmaskedit models NAME tells where a file comes from; with --download it is brought here.")
    return 0


def _origin(entry: Weights) -> str:
    if entry.bundled:
        return f"  file           {WEIGHTS / entry.file}\n  load with      {entry.loads}"
    lines = [f"  page           {entry.page}", *(f"  link           {url}" for url in entry.urls)]
    return "\n".join([*lines, f"  file           {entry.file}", f"  load with      {entry.loads}"])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _remark(text: str) -> None:
    sys.stderr.write(text + "\n")
