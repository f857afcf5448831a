"""How far two sets of pictures lie apart, from features ``[n, d]`` of each.

The features here are those of our own embedding of faces, so the numbers compare with one another only, not with
distances that others took in the features of other networks.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.faces.tables import Table
from maskedit.metrics import frechet_distance, kernel_distance, prdc
from maskedit.models.networks.face_embedding import FaceEmbedding
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.protocols import Models
from maskedit.training.boundaries import sampled
from maskedit.training.faces import Faces
from maskedit.training.generator import noises_for
from maskedit.training.loop import step_rng
from maskedit.types import Image


@torch.no_grad()
def drawn_faces(models: Models, count: int, seed: int = 0) -> Image:
    """Faces of people who do not exist: of latents from the models' distribution, with random noise maps."""
    generator, rng = models.generator, step_rng(seed, 0)
    assert isinstance(generator, StyleGAN2)
    assert models.latents is not None
    codes = sampled(models.latents, count, rng)
    parts = [generator.synthesize(part, noises_for(generator, len(part), rng)) for part in codes.split(32)]
    return torch.cat(parts).clamp(0, 1)


@torch.no_grad()
def embedded(net: FaceEmbedding, pictures: Image) -> Float[Tensor, "n dim"]:
    """The embedding of pictures of any size."""
    return torch.cat([net.embed(part) for part in pictures.split(64)])


def distances(models: Models, net: FaceEmbedding, train: Faces, test: Faces) -> Table:
    """Generated faces, as many as there are training photos, against the held-out photos; those photos beside them."""
    size = models.generator.resolution
    known, held_out = (embedded(net, faces.resized(size).float() / 255) for faces in (train, test))
    rows = []
    for name, numbers in (
        ("training photos (the floor)", known),
        ("generated faces", embedded(net, drawn_faces(models, len(train)))),
    ):
        kernel, frechet = float(kernel_distance(numbers, held_out)), float(frechet_distance(numbers, held_out))
        rows.append((name, kernel, frechet, *prdc(numbers, held_out)[:2]))
    return Table(
        f"{len(train)} pictures each against the {len(test)} held-out photos at {size} px, in {net.dim} numbers of "
        "the bundled embedding",
        ("pictures", "kernel distance", "Fréchet distance", "precision", "recall"),
        tuple(rows),
    )
