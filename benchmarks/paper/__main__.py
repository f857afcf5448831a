"""``python -m benchmarks.paper TABLE --faces FOLDER --out FOLDER``: the like of a table or figure of the paper.

The first run makes the edits and keeps them as pictures; a later one goes on from what is there.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.paper import editors
from benchmarks.paper.ablation import ablation
from benchmarks.paper.comparison import compare
from benchmarks.paper.figure6 import figure6
from maskedit.errors import MaskeditError
from maskedit.models.weights.bundled import load

TABLES = ("table3", "table6", "figure6")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--faces", type=Path, required=True, help="folder of aligned, square faces")
    parser.add_argument("--out", type=Path, required=True, help="folder for edits, numbers and tables")
    parser.add_argument("--count", type=int, default=200, help="faces at most (%(default)s, the paper's number)")
    parser.add_argument("--attributes", help="some of Table I, separated by commas; all by default")
    parser.add_argument(
        "--batch", type=int, default=1, help="faces edited at a time; a crash loses these (%(default)s)"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="draws of the bootstrap (%(default)s)")
    editors.add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        models = load()
        made = ablation(models) if options.table == "table6" else editors.make_editors(options, models)
        if options.table == "figure6":
            print(figure6(options, models, made))
        else:
            print(compare(options.table, options, models, made))
    except MaskeditError as error:
        print(f"benchmarks.paper: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
