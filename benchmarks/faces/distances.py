"""How far two sets of pictures lie apart, from features ``[n, d]`` of each.

The features here are those of our own embedding of faces, so the numbers compare with one another only, not with
distances that others took in the features of other networks.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmarks.faces.tables import Table
from maskedit.models.networks.face_embedding import FaceEmbedding
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.protocols import LatentDistribution, Models
from maskedit.training.faces import Faces
from maskedit.training.generator import noises_for
from maskedit.training.loop import step_rng
from maskedit.types import Image, Latent

NEIGHBOURS = 3


def kernel_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy under the kernel ``(x . y / d + 1) ** 3``.

    Unbiased: 0 on average for two samples of one distribution, and so at times below (Gretton et al. 2012, eq. 3).
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def among(a: Tensor) -> Tensor:
        values = kernel(a, a)
        return (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))

    return among(x) + among(y) - 2 * kernel(x, y).mean()


def frechet_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Squared Fréchet distance of the Gaussians with the two samples' means and covariances.

    ``|mean - mean'|^2 + tr(C + C' - 2 (C C')^(1/2))`` (Dowson and Landau 1982). Small samples lie further apart than
    what they were drawn from: compare samples of like sizes.
    """
    first, second = torch.cov(x.T), torch.cov(y.T)
    values, directions = torch.linalg.eigh(first)
    root = directions * values.clamp(min=0).sqrt() @ directions.T
    shared = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    return (x.mean(0) - y.mean(0)).square().sum() + first.trace() + second.trace() - 2 * shared


def within(x: Float[Tensor, "n d"], of: Float[Tensor, "m d"], neighbours: int) -> Bool[Tensor, " n"]:
    """Whether each of ``x`` lies nearer to one of the others than that one's k-th neighbour among its own."""
    exact = "donot_use_mm_for_euclid_dist"
    radii = torch.cdist(of, of, compute_mode=exact).kthvalue(neighbours + 1).values  # the nearest of all is itself
    return (torch.cdist(x, of, compute_mode=exact) <= radii).any(1)


def precision_recall(
    drawn: Float[Tensor, "n d"], real: Float[Tensor, "m d"], neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """The share of drawn pictures among the real ones, and of real ones among the drawn (Kynkäänniemi et al. 2019)."""
    shares = within(drawn, real, neighbours), within(real, drawn, neighbours)
    return float(shares[0].float().mean()), float(shares[1].float().mean())


def sampled(latents: LatentDistribution, count: int, rng: torch.Generator) -> Latent:
    """Latents drawn from the Gaussian with this mean and these components."""
    scores = torch.randn(count, len(latents.deviations), generator=rng).to(latents.mean) * latents.deviations
    return latents.mean + (scores @ latents.components).unflatten(1, latents.mean.shape)


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
        rows.append((name, kernel, frechet, *precision_recall(numbers, held_out)))
    return Table(
        f"{len(train)} pictures each against the {len(test)} held-out photos at {size} px, in {net.dim} numbers of "
        "the bundled embedding",
        ("pictures", "kernel distance", "Fréchet distance", "precision", "recall"),
        tuple(rows),
    )
