"""Contact sheets: pictures and masks side by side, a row for each image."""

import os
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.files import replacing
from maskedit.report.pictures import scaled


def sheet(columns: Mapping[str, Float[Tensor, "b _ _ _"]], path: str | os.PathLike[str], *, height: int = 256) -> None:
    """A contact sheet as PNG: a row for each image of the batch, a captioned column for each kind.

    Args:
        columns: caption -> images ``[b, 3, h, w]`` or masks ``[b, 1, h, w]`` in [0, 1], of any sizes.
        path: where to write it.
        height: of each picture on the sheet, in pixels.

    Raises:
        InputError: if the columns are empty or hold different numbers of images.
        FileError: if the file cannot be written.
    """
    from PIL import Image as pil
    from PIL import ImageDraw, ImageFont

    counts = {caption: len(images) for caption, images in columns.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputError("the columns of a sheet do not fit", expected="as many images in each", actual=str(counts))
    rows = [[scaled(images[i : i + 1], height) for images in columns.values()] for i in range(max(counts.values()))]
    widths = [max(row[column].width for row in rows) for column in range(len(columns))]
    gap, line = max(4, height // 32), max(14, height // 14)
    size = sum(widths) + gap * (len(widths) + 1), line + 2 * gap + (height + gap) * len(rows)
    page = pil.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(line * 0.8)
    x = gap
    for column, caption in enumerate(columns):
        draw.text((x, gap), caption, fill="black", font=font)
        for i, row in enumerate(rows):
            page.paste(row[column], (x, line + 2 * gap + i * (height + gap)))
        x += widths[column] + gap
    with replacing(path) as file:
        page.save(file, format="PNG")
