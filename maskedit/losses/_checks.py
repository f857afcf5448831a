"""What all formulas ask of their inputs: shapes and types, never values, which would break compile and vmap."""

from typing import TypeVar

import torch
from torch import Tensor

from maskedit.errors import InputError

_Choice = TypeVar("_Choice")


def full(tensor: Tensor) -> Tensor:
    """Half precision becomes float32: a mean over a picture's pixels needs the digits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def shape_text(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def check_floating(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(
                f"{name} is not a floating tensor",
                expected="float32, float64, bfloat16 or float16",
                actual=str(tensor.dtype),
                hint="Convert bytes with x.float() / 255, booleans with x.float().",
            )


def check_pictures(**pictures: Tensor) -> None:
    check_floating(**pictures)
    first = next(iter(pictures.values()))
    for name, picture in pictures.items():
        if picture.ndim != 4 or picture.shape[1] != 3 or picture.shape != first.shape:
            raise InputError(
                f"{name} is not a picture of the same size as the others",
                expected="[b, 3, h, w]" if name == next(iter(pictures)) else shape_text(first),
                actual=shape_text(picture),
                hint="A single picture needs a batch dimension: x[None]." if picture.ndim == 3 else "",
            )


def check_masks(like: Tensor | None, **masks: Tensor) -> None:
    """Masks are [b, 1, h, w], one per image of ``like`` and of its size in pixels; of one batch anyway."""
    check_floating(**masks)
    first = next(iter(masks.values())) if like is None else like
    for name, mask in masks.items():
        size = mask.shape[-2:] if like is None else like.shape[-2:]
        if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[0] != first.shape[0] or mask.shape[-2:] != size:
            expected = f"[{first.shape[0]}, 1, h, w]" if like is None else str([first.shape[0], 1, *size])
            raise InputError(
                f"{name} is not a mask that fits",
                expected=expected,
                actual=shape_text(mask),
                hint="Add the channel: mask[:, None]." if mask.ndim == 3 else "",
            )


def one_of(value: _Choice, *allowed: str) -> _Choice:
    if value not in allowed:
        raise InputError("unknown choice", expected=" or ".join(map(repr, allowed)), actual=repr(value))
    return value
