"""Tables III and VI: how far edited faces lie from the originals, editor by editor; with what the paper leaves out.

For each attribute, every face gains it, or loses it where it has it; distances are taken attribute by attribute and
averaged, as in the paper. The paper's features are Inception's, of pictures at 299 px. Here they are those of the
bundled embedding of faces, so the numbers compare with one another only. Success and spill are the judge's, which no
edit is optimised against.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.faces.edits import kin
from benchmarks.paper.pictures import Originals, edited_pictures, present, read_originals
from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.editors import Editor, capability_table
from maskedit.files import write_whole
from maskedit.metrics import (
    Interval,
    frechet_distance,
    identity_similarity,
    interval,
    kernel_distance,
    spill,
    success,
)
from maskedit.models.weights.bundled import load_embedding, load_judge
from maskedit.protocols import Models

NEEDED = 20
"""Faces under which the distances would say nothing."""
COLUMNS = {
    "frechet": "Fréchet distance (embedding)",
    "kernel": "kernel distance (embedding)",
    "success": "success",
    "spill": "spill",
    "identity": "identity",
    "seconds": "seconds a picture",
}


def compare(table: str, options: argparse.Namespace, models: Models, editors: Mapping[str, Editor]) -> str:
    """Compute the rows that are not in the output folder yet; the table in Markdown, also as ``TABLE.md``.

    Args:
        table: its name, and that of its folder.
        options: faces, out, count, batch, attributes, resamples.
        models: whose classifier says which faces show an attribute.
        editors: by short name.

    Raises:
        InputError: if there are too few faces.
    """
    originals = read_originals(options.faces, models.generator.resolution, options.count, needed=NEEDED)
    rows = {}
    for short, editor in editors.items():
        path = options.out / table / f"{short}.json"
        asked = {"faces": list(originals.names), "attributes": list(attributes_of(editor, options))}
        kept = json.loads(path.read_text()) if path.is_file() else {}
        if {key: kept.get(key) for key in asked} != asked:
            kept = {**asked, **row(editor, originals, models, options, options.out / "edits" / short)}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(kept, indent=1))
        rows[editor.name] = kept
    text = "\n\n".join((markdown(rows), capability_table(editors.values()))) + "\n"
    write_whole(options.out / f"{table}.md", text)
    return text


def attributes_of(editor: Editor, options: argparse.Namespace) -> tuple[str, ...]:
    """The attributes of Table I that the editor knows, or those asked for."""
    wanted = options.attributes.split(",") if options.attributes else ATTRIBUTE_REGIONS
    return tuple(name for name in wanted if name in editor.capabilities.attributes)


def row(
    editor: Editor, originals: Originals, models: Models, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """An editor's numbers, each with its interval, and attribute by attribute."""
    judge, embedding = load_judge(), load_embedding()
    with torch.no_grad():
        before, own = judge.classify(originals.images, judge.attributes), embedding.embed(originals.images)
    features, values, seconds = [own], {"success": [], "spill": [], "identity": []}, []
    names = attributes_of(editor, options)
    assert models.classifier is not None
    for name in names:
        has = present(models.classifier, originals.images, name)
        pictures, took = edited_pictures(editor, originals, name, has, folder / name, batch=options.batch)
        with torch.no_grad():
            after = judge.classify(pictures, judge.attributes)
            features.append(embedding.embed(pictures))
            values["identity"].append(identity_similarity(embedding, originals.images, pictures))
        column = judge.attributes.index(name)
        values["success"].append(success(after[:, column], (~has).float()).float())
        values["spill"].append(spill(before, after, but=kin(name, judge.attributes)))
        seconds.append(took)
    numbers: dict[str, Interval] = {
        key: interval(torch.stack(parts, 1), resamples=options.resamples) for key, parts in values.items()
    }
    sets = torch.stack(features, 1)  # a row for each face: its own features, then those of its edits
    for key, distance in (("frechet", frechet_distance), ("kernel", kernel_distance)):

        def mean_distance(rows: Float[Tensor, "n sets d"], distance: Any = distance) -> Tensor:
            return torch.stack([distance(rows[:, 0], rows[:, i]) for i in range(1, rows.shape[1])]).mean()

        numbers[key] = interval(sets, statistic=mean_distance, kind="centred", resamples=options.resamples // 5)
    single = {
        key: dict(zip(names, [float(part.mean()) for part in parts], strict=True)) for key, parts in values.items()
    }
    single["frechet"] = {
        name: float(frechet_distance(own, part)) for name, part in zip(names, features[1:], strict=True)
    }
    return {
        "editor": editor.name,
        "numbers": {key: list(found) for key, found in numbers.items()}
        | {"seconds": [sum(seconds) / len(seconds)] * 3},
        "by_attribute": single,
    }


def markdown(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The table, each number with its 95 % bootstrap interval."""
    lines = [("editor", "attributes", *COLUMNS.values()), ("---",) * (len(COLUMNS) + 2)]
    for name, kept in rows.items():
        shown = [str(Interval(*kept["numbers"][key])) for key in COLUMNS if key != "seconds"]
        lines.append((name, str(len(kept["attributes"])), *shown, f"{kept['numbers']['seconds'][0]:.3g}"))
    faces = len(next(iter(rows.values()))["faces"])
    about = f"{faces} faces; every attribute inverted; mean over attributes, with 95 % bootstrap intervals over faces."
    return about + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
