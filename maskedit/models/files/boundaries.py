"""Files of attribute boundaries: hyperplanes in a generator's latent space, as InterFaceGAN's."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import CheckpointError, InputError
from maskedit.models.files import checkpoints
from maskedit.protocols import Generator


@dataclass(frozen=True, eq=False)
class Boundaries:
    """The normals of some attributes' boundaries.

    Args:
        normals: attribute -> unit normal, ``[layers, dim]``, or ``[1, dim]`` for one that is the same in every layer;
            it points to where the attribute is.
        deviations: attribute -> standard deviation of the generator's latents along the normal; 1 if not known.
        together: correlations of the attributes' scores over the generator's pictures, in their order, if known.
    """

    normals: Mapping[str, Float[Tensor, "_ dim"]]
    deviations: Mapping[str, float]
    together: Float[Tensor, "attributes attributes"] | None = None

    def check(self, generator: Generator) -> None:
        """Refuse boundaries of another generator.

        Raises:
            InputError: naming the attribute.
        """
        layers, dim = generator.latent_shape
        for name, normal in self.normals.items():
            if tuple(normal.shape) not in ((layers, dim), (1, dim)):
                raise InputError(
                    f"the boundary of {name!r} is not of this generator",
                    expected=f"[{layers}, {dim}] or [1, {dim}]",
                    actual=str(list(normal.shape)),
                )


def load_boundaries(path: str | os.PathLike[str]) -> Boundaries:
    """Boundaries from a file of ``maskedit train boundaries``, or from the ``.npy`` files of a folder.

    A public file holds one unit normal ``[1, dim]``; its name, without the generator's and ``_boundary``, is the
    attribute's: ``stylegan_ffhq_smile_w_boundary.npy`` is ``smile_w``.

    Args:
        path: the file, or the folder.

    Raises:
        CheckpointError: if there are none, or a file is no boundary; no code in a file is run.
    """
    path = Path(path)
    if path.is_dir():
        normals = {_attribute(file): read_normal(file) for file in sorted(path.glob("*.npy"))}
        if not normals:
            raise CheckpointError(f"there are no boundaries in {path}", expected="files *.npy")
        return Boundaries(normals, dict.fromkeys(normals, 1.0))
    if path.suffix == ".npy":
        return Boundaries({_attribute(path): read_normal(path)}, {_attribute(path): 1.0})
    state = checkpoints.load_state(path)
    names = checkpoints.read(path).metadata.get("attributes", "").split(",")
    try:
        normals = {name: state[f"normals.{name}"] for name in names}
        deviations = dict(zip(names, state["deviations"].tolist(), strict=True))
        together = state["together"]
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} holds no boundaries", expected="a file of maskedit train boundaries", actual=f"no {error}"
        ) from error
    return Boundaries(normals, deviations, together)


def save_boundaries(path: str | os.PathLike[str], boundaries: Boundaries) -> None:
    """Write what :func:`load_boundaries` reads.

    Raises:
        InputError: if there are no correlations.
        FileError: if the file cannot be written.
    """
    if boundaries.together is None:
        raise InputError("these boundaries lack the correlations of their scores")
    tensors = {f"normals.{name}": normal for name, normal in boundaries.normals.items()}
    tensors["deviations"] = torch.tensor([boundaries.deviations[name] for name in boundaries.normals])
    tensors["together"] = boundaries.together
    checkpoints.write(Path(path), tensors, {"attributes": ",".join(boundaries.normals)})


def read_normal(path: str | os.PathLike[str]) -> Float[Tensor, "_ dim"]:
    """The unit normal in a ``.npy`` file.

    Raises:
        CheckpointError: if it holds something else.
    """
    path = Path(path)
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} cannot be read as a boundary", actual=str(error)) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f" or not np.isfinite(array).all():
        shape = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "an archive"
        raise CheckpointError(f"{path.name} is no boundary", expected="finite floats [1, dim]", actual=shape)
    length = float(np.linalg.norm(array))
    if not 0.99 < length < 1.01:
        raise CheckpointError(
            f"{path.name} is no boundary", expected="a normal of length 1", actual=f"one of length {length:.3g}"
        )
    return torch.from_numpy(array.astype(np.float32))


def _attribute(path: Path) -> str:
    """The attribute in the name of a public file: ``pggan_celebahq_age_c_gender_boundary.npy`` is age given gender."""
    stem = path.stem.removesuffix("_boundary")
    for known in ("pggan_celebahq_", "stylegan_celebahq_", "stylegan_ffhq_"):
        stem = stem.removeprefix(known)
    return stem
