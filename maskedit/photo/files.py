"""Photos from files and back: any common kind in, RGB in [0, 1] out; written whole or not at all."""

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError, PhotoError
from maskedit.files import reason, replacing
from maskedit.photo.alignment import Photo
from maskedit.report import to_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 90_000_000
"""Larger photos are refused: 90 megapixels take 1 GB as float32."""

WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def read(path: str | os.PathLike[str]) -> Photo:
    """A photo as a tensor, upright and in sRGB.

    The camera's orientation (EXIF) is applied, an embedded colour profile converted, transparency laid
    over white, grey spread to three channels, 16 bits kept. Of an animation, the first frame is read.

    Args:
        path: a file of any kind that Pillow reads.

    Returns:
        ``[1, 3, h, w]``, float32 in [0, 1].

    Raises:
        PhotoError: if the file is missing, empty, no picture, damaged, or over ``MAX_PIXELS``.
    """
    from PIL import Image as pil
    from PIL import UnidentifiedImageError

    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"cannot read {path}", actual=reason(error)) from error
    if not data:
        raise PhotoError(f"{path} is empty", expected="a photo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        try:
            with pil.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise _too_large(path)
                picture.load()
                return _to_tensor(_to_rgb(picture))
        except PhotoError:
            raise
        except pil.DecompressionBombError as error:
            raise _too_large(path) from error
        except UnidentifiedImageError as error:
            raise PhotoError(
                f"{path} is no picture", expected="a photo such as JPEG, PNG or WebP", hint="Is the file whole?"
            ) from error
        except Exception as error:  # decoders raise what they like on damaged files: SyntaxError, struct.error, ...
            raise PhotoError(f"{path} is damaged", expected="a whole photo", actual=f"{error}") from error


def write(image: Float[Tensor, "1 channels h w"], path: str | os.PathLike[str]) -> None:
    """Write a picture with 8 bits a channel; the file appears whole or not at all.

    Args:
        image: ``[1, 3, h, w]``; values outside [0, 1] are clamped.
        path: ends in ``.png`` (exact), ``.jpg`` or ``.jpeg`` (quality 95). A file there is replaced.

    Raises:
        InputError: if the image is not one RGB picture of finite numbers, or the suffix is another.
        FileError: if the file cannot be written.
    """
    path = Path(path)
    kind = WRITTEN.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"cannot write {path}", expected=f"a name ending in {', '.join(WRITTEN)}")
    picture = to_picture(image)
    with replacing(path) as file:
        picture.save(file, format=kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))


def _to_rgb(picture: "Picture") -> "Picture":
    """Upright, in sRGB, without transparency; 16-bit grey stays as it is."""
    from PIL import Image as pil
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        return picture
    picture = _to_srgb(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = pil.alpha_composite(pil.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _to_srgb(picture: "Picture") -> "Picture":
    """Colours of the embedded profile, as sRGB; untouched if there is none, or none that is understood."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "CMYK"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return picture
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError):
        return picture


def _to_tensor(picture: "Picture") -> Photo:
    """``[1, 3, h, w]`` in [0, 1] of an RGB picture, or of a grey one of 16 bits."""
    values = np.asarray(picture)
    if values.ndim == 2:
        if picture.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise PhotoError("the photo has pixels of an unknown range", expected="8 or 16 bits a channel")
        return repeat(torch.from_numpy(values.astype(np.float32)), "h w -> 1 c h w", c=3).contiguous() / 65535
    return rearrange(torch.from_numpy(values.copy()), "h w c -> 1 c h w").contiguous().float() / 255


def _too_large(path: Path) -> PhotoError:
    return PhotoError(f"{path} is too large", expected=f"at most {MAX_PIXELS // 1_000_000} megapixels")
