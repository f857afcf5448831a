"""Contact sheets that trainings write: pictures side by side, a row for each thing to compare."""

from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image as Pillow
from torch import Tensor

from maskedit.files import replacing


def sheet(path: Path, *rows: Float[Tensor, "n 3 h w"]) -> None:
    """Write pictures in [0, 1] as a PNG, one row each.

    Raises:
        FileError: if the file cannot be written.
    """
    lines = [rearrange(row, "n c h w -> h (n w) c") for row in rows]
    picture = torch.cat(lines).clamp(0, 1).mul(255).round().byte()
    write_png(path, Pillow.fromarray(picture.cpu().numpy()))


def write_png(path: Path, picture: Pillow.Image) -> None:
    """Write a picture, whole or not at all.

    Raises:
        FileError: if the file cannot be written.
    """
    with replacing(path) as file:
        picture.save(file, "PNG")
