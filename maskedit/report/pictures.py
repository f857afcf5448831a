"""Tensors as pictures of 8 bits, for sheets, films and files."""

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def to_picture(image: Float[Tensor, "1 channels h w"]) -> "Picture":
    """One image ``[1, 3, h, w]``, clamped to [0, 1], as a Pillow picture of 8 bits a channel."""
    from PIL import Image as pil

    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise InputError("not one RGB picture", expected="[1, 3, h, w]", actual=str(list(image.shape)))
    if not image.isfinite().all():
        raise InputError("the picture has values that are not finite")
    values = (image.detach().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return pil.fromarray(rearrange(values[0], "c h w -> h w c").contiguous().numpy())


def scaled(image: Float[Tensor, "1 _ _ _"], height: int) -> "Picture":
    """One image or mask as a picture of that height."""
    from PIL import Image as pil

    picture = to_picture(image.detach().expand(1, 3, *image.shape[2:]))
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), pil.Resampling.LANCZOS)
