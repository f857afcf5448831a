"""Where a latent may start: tensors, arrays and files of W+ or W, as W+ for each image."""

import math
import os
from pathlib import Path

import numpy as np
import torch
from einops import repeat
from torch import Tensor

from maskedit.errors import InputError
from maskedit.protocols import Generator
from maskedit.types import Latent


def start_latents(
    given: Tensor | np.ndarray | str | os.PathLike[str], generator: Generator, batch: int | None
) -> Latent:
    """What was given as a latent for each image ``[b, *latent]``.

    Args:
        given: latents ``[b, *latent]`` or one ``[*latent]``; or, where latents are rows, one w for all of them
            ``[b, dim]`` or ``[dim]``. A tensor, an array, or a file with one of either in it.
        generator: whose latents they are.
        batch: how many images there are; None takes as many as latents are given.

    Raises:
        InputError: if it is something else.
    """
    if isinstance(given, str | os.PathLike):
        given = _from_file(Path(given))
    if not isinstance(given, Tensor | np.ndarray):
        raise InputError("unknown start", expected="'mean', 'encoder' or a latent", actual=repr(given)[:100])
    latent = torch.as_tensor(given).detach()
    shape = tuple(generator.latent_shape)
    if latent.shape == shape and batch in (None, 1):
        latent = latent[None]
    elif len(shape) == 2 and tuple(latent.shape) == shape[1:] and batch in (None, 1):
        latent = repeat(latent, "dim -> 1 layers dim", layers=shape[0])
    elif len(shape) == 2 and latent.ndim == 2 and latent.shape[1] == shape[1] and latent.shape[0] == (batch or -1):
        latent = repeat(latent, "b dim -> b layers dim", layers=shape[0])
    check_latent(
        "start", latent, generator, len(latent) if batch is None and latent.ndim == len(shape) + 1 else batch or 1
    )
    return latent


def check_latent(name: str, latent: Tensor, generator: Generator, batch: int) -> None:
    """Refuse what is not a latent for each image.

    Raises:
        InputError: naming it.
    """
    shape = tuple(generator.latent_shape)
    if not isinstance(latent, Tensor) or tuple(latent.shape) != (batch, *shape) or not latent.is_floating_point():
        kind = f"{str(latent.dtype).removeprefix('torch.')} {list(latent.shape)}" if isinstance(latent, Tensor) else ""
        raise InputError(
            f"{name} is not a latent for each image",
            expected=f"a float tensor {[batch, *shape]}",
            actual=kind or type(latent).__name__,
            hint="One latent needs a batch dimension: w[None]."
            if isinstance(latent, Tensor) and latent.ndim == len(shape)
            else "",
        )
    if not bool(latent.isfinite().all()):
        raise InputError(f"{name} has values that are not finite")


def _from_file(path: Path) -> Tensor:
    """The one tensor in a file."""
    if not path.is_file():
        raise InputError("unknown start", expected="'mean', 'encoder', a latent, or a file of one", actual=str(path))
    try:
        if path.suffix in (".npy", ".npz"):
            loaded = np.load(path, allow_pickle=False)
            found = [loaded] if isinstance(loaded, np.ndarray) else [loaded[name] for name in loaded.files]
            tensors = [torch.as_tensor(array) for array in found]
        elif path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = list(load_file(path).values())
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            tensors = [loaded] if isinstance(loaded, Tensor) else list(loaded.values())
    except Exception as error:  # readers raise what they like on damaged files
        raise InputError(f"{path} cannot be read as a latent", actual=str(error)[:200]) from None
    latents = [t for t in tensors if isinstance(t, Tensor) and t.is_floating_point() and math.prod(t.shape) > 1]
    if len(latents) != 1:
        raise InputError(f"{path} holds no single latent", expected="one tensor", actual=f"{len(latents)} of them")
    return latents[0].float()
