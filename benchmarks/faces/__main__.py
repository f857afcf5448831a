"""Figures of the bundled models on the held-out faces, as Markdown tables and JSON.

``python -m benchmarks.faces models --faces FOLDER``: parser, classifier, judge, landmarks. ``... distances``: generated
against held-out faces. ``... reconstruction``: encoder, fit and detail. ``... edits``: what edits do, by the judge.
``... blends``: one edit blended in each way. Both with sheets if ``--out`` is given (they show real people: keep them
to yourself).
"""

import argparse
import json
from pathlib import Path

from benchmarks.faces import DATA
from benchmarks.faces.blends import blends
from benchmarks.faces.checked import known_attributes
from benchmarks.faces.distances import distances
from benchmarks.faces.edits import edits
from benchmarks.faces.models import model_figures
from benchmarks.faces.photos import labelled_faces, spread
from benchmarks.faces.reconstruction import reconstruction
from maskedit.files import write_whole
from maskedit.models.weights.bundled import load, load_embedding, load_judge
from maskedit.training.labels import load_labels


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faces", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("models", "distances", "reconstruction", "edits", "blends"))
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--labels", type=Path, default=DATA, help="folder that maskedit.training.labels wrote")
    parser.add_argument("--count", type=int, help="faces of an edit, or to reconstruct; all by default")
    parser.add_argument("--batch", type=int, default=30, help="faces at a time")
    parser.add_argument("--out", type=Path, help="folder for the sheets of edits")
    parser.add_argument("--json", type=Path, help="write the tables to this file too")
    options = parser.parse_args(arguments)
    models, test = load("portraits"), labelled_faces(options.faces, "test")
    if options.what == "models":
        tables = model_figures(models, test, load_labels(options.labels, test))
    elif options.what == "distances":
        tables = [distances(models, load_embedding(), labelled_faces(options.faces, "train"), test)]
    elif options.what == "reconstruction":
        train, some = labelled_faces(options.faces, "train"), spread(test, options.count)
        tables = [reconstruction(models, load_embedding(), train, some, batch=options.batch)]
    else:
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
        assert models.classifier is not None
        known = known_attributes(test, models.classifier.attributes)
        if options.what == "blends":
            shown = ("blond_hair", "wearing_lipstick", "smiling")
            tables = [blends(models, test, known, attributes=shown, count=options.count or 8, out=options.out)]
        else:
            choice = {"count": options.count, "batch": options.batch, "out": options.out}
            tables = [edits(models, load_judge(), load_embedding(), test, known, **choice)]
    print(*tables, sep="\n")
    if options.json:
        write_whole(options.json, json.dumps([table.json() for table in tables], indent=1) + "\n")


if __name__ == "__main__":
    main()
