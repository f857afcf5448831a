"""Figure 6: one sheet a face, a row for each editor, a column for each attribute, the original beside them."""

import argparse
from collections.abc import Mapping

import torch
from PIL import Image as Pillow
from PIL import ImageDraw

from benchmarks.paper.comparison import attributes_of
from benchmarks.paper.pictures import edited_pictures, present, read_originals
from maskedit.editors import Editor
from maskedit.files import replacing
from maskedit.protocols import Models

SIDE, MARGIN = 128, 100


def figure6(options: argparse.Namespace, models: Models, editors: Mapping[str, Editor]) -> str:
    """Write the sheets into ``figure6/``; what each attribute's name says in capitals was taken away.

    Args:
        options: faces, out, count, batch, attributes.
        models: whose classifier says which faces show an attribute.
        editors: by short name.

    Returns:
        Where the sheets are.

    Raises:
        InputError: if there is no face.
    """
    originals = read_originals(options.faces, models.generator.resolution, options.count, needed=1)
    names = list(dict.fromkeys(name for editor in editors.values() for name in attributes_of(editor, options)))
    assert models.classifier is not None
    has = {name: present(models.classifier, originals.images, name) for name in names}
    made = {
        (short, name): edited_pictures(
            editor, originals, name, has[name], options.out / "edits" / short / name, batch=options.batch
        )[0]
        for short, editor in editors.items()
        for name in attributes_of(editor, options)
    }
    folder = options.out / "figure6"
    folder.mkdir(parents=True, exist_ok=True)
    for i, face in enumerate(originals.names):
        sheet = Pillow.new("RGB", (MARGIN + SIDE * (len(names) + 1), 20 + SIDE * len(editors)), "white")
        pen = ImageDraw.Draw(sheet)
        for column, name in enumerate(names, 1):
            label = name.replace("_", " ")
            pen.text((MARGIN + SIDE * column + 2, 4), label.upper() if bool(has[name][i]) else label, fill="black")
        for row, (short, editor) in enumerate(editors.items()):
            pen.text((4, 20 + SIDE * row + SIDE // 2), editor.name, fill="black")
            paste(sheet, originals.images[i], 0, row)
            for column, name in enumerate(names, 1):
                if (short, name) in made:
                    paste(sheet, made[short, name][i], column, row)
        with replacing(folder / f"{face}.png") as file:
            sheet.save(file, "PNG")
    return f"{len(originals.names)} sheets in {folder}; names in capitals were taken away"


def paste(sheet: Pillow.Image, image: torch.Tensor, column: int, row: int) -> None:
    """A picture in [0, 1] into a cell of the sheet."""
    pixels = image.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    sheet.paste(Pillow.fromarray(pixels).resize((SIDE, SIDE)), (MARGIN + SIDE * column, 20 + SIDE * row))
