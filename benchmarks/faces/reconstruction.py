"""How well encoder, fitted latent and optimised noise draw held-out photos, beside principal components of pixels."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmarks.faces.tables import Table
from maskedit.attributes import REGIONS
from maskedit.metrics import lpips, psnr
from maskedit.models.networks.face_embedding import FaceEmbedding
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.problem import Problem
from maskedit.protocols import Models, Parser
from maskedit.recipes import plausible
from maskedit.schedule import NormalizeNoise, Schedule, Stage, latent, noise
from maskedit.solve import run
from maskedit.terms import preserve, white_noise
from maskedit.training.faces import Faces
from maskedit.training.reconstruction import reconstruct
from maskedit.types import Image, Latent

SIZE = 64
"""Side of the pictures that are compared."""
COMPONENTS = (64, 128, 256, 512)
SHOWN = tuple(name for name in REGIONS if name != "background")


def boxed(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 64 64"]:
    """The pictures at ``SIZE``, averaged over areas."""
    return images if images.shape[-1] == SIZE else F.interpolate(images, size=SIZE, mode="area")


@torch.no_grad()
def face_mask(parser: Parser, photos: Image) -> Float[Tensor, "b 1 64 64"]:
    """How much of each of ``SIZE`` x ``SIZE`` pixels the parser takes for something other than background."""
    parts = [parser.parse(part, parser.regions).argmax(1, keepdim=True) for part in photos.split(32)]
    return boxed((torch.cat(parts) != parser.regions.index("background")).float())


@torch.no_grad()
def perceptual_distance(net: FaceEmbedding, drawn: Image, photos: Image) -> Float[Tensor, " n"]:
    """Mean squared distance of the network's maps, each pixel's features brought to length 1, a mean over the sizes."""

    parts = zip(drawn.split(64), photos.split(64), strict=True)
    return torch.cat([lpips(net.features, a.clamp(0, 1), b) for a, b in parts]) / len(net.levels)


def projections(
    known: Float[Tensor, "m 3 h w"], photos: Float[Tensor, "n 3 h w"], counts: Sequence[int]
) -> Mapping[int, Float[Tensor, "n 3 h w"]]:
    """Photos as the nearest points spanned by so many principal components of known ones and their mirror images."""
    pixels = torch.cat([known, known.flip(3)]).flatten(1)
    mean = pixels.mean(0)
    # The small matrix of products between pictures has the same eigenvectors, up to a turn into pixels.
    _, turns = torch.linalg.eigh((pixels - mean) @ (pixels - mean).T)
    components = F.normalize(turns.flip(1)[:, : max(counts)].T @ (pixels - mean))
    scores = (photos.flatten(1) - mean) @ components.T
    return {k: (mean + scores[:, :k] @ components[:k]).view_as(photos) for k in counts}


def in_batches(
    models: Models, photos: Image, start: Latent | None, schedule: Schedule, batch: int
) -> tuple[Image, Latent]:
    """The generated pictures and the latents that a schedule ends with, from the encoder's or from given latents."""
    images, codes = [], []
    for i in range(0, len(photos), batch):
        here = slice(i, i + batch)
        problem = Problem(models, photos[here], start="encoder" if start is None else start[here])
        result = run(problem, schedule)
        images.append(result.generated)
        codes.append(result.latent)
    return torch.cat(images), torch.cat(codes)


def reconstruction(
    models: Models,
    net: FaceEmbedding,
    train: Faces,
    test: Faces,
    *,
    steps: tuple[int, int] = (100, 100),
    batch: int = 30,
) -> Table:
    """PSNR and perceptual distance of the held-out photos after encoder, fit and detail; PCA's beside them.

    Args:
        models: those of the edits.
        net: whose features the perceptual distance is taken in.
        train: the photos that principal components are of.
        test: the photos to draw.
        steps: of fit and of detail.
        batch: photos at a time.
    """
    generator, encoder, parser = models.generator, models.encoder, models.parser
    assert isinstance(generator, StyleGAN2)
    assert encoder is not None
    assert parser is not None
    photos = test.resized(generator.resolution).float() / 255
    wanted, mask = test.resized(SIZE).float() / 255, face_mask(parser, test.resized(2 * SIZE).float() / 255)
    rows: list[tuple[str | float | int, ...]] = []

    def row(name: str, drawn: Image) -> None:
        drawn = boxed(drawn.clamp(0, 1))
        rows.append(
            (
                name,
                float(psnr(drawn, wanted, mask).mean()),
                float(perceptual_distance(net, drawn, wanted).mean()),
            )
        )

    for k, drawn in projections(train.resized(SIZE).float() / 255, wanted, COMPONENTS).items():
        row(f"{k} principal components", drawn)
    row("encoder", reconstruct(generator, encoder, photos))
    held = next(iter(plausible("smiling")))
    row(
        f"fit of recipes.plausible ({held.steps} steps)",
        in_batches(models, photos, None, Schedule(held, blend=None), batch)[0],
    )
    keep = 5.0 * preserve(*SHOWN)
    fit = Schedule(Stage("fit", steps[0], keep, vary=latent(lr=0.03)), blend=None)
    drawn, codes = in_batches(models, photos, None, fit, batch)
    row(f"free fit ({steps[0]} steps of Adam at 0.03)", drawn)
    detail = Stage("detail", steps[1], keep + white_noise(), vary=noise(lr=0.1), after_step=[NormalizeNoise()])
    row(
        f"detail after that ({steps[1]} steps on the noise maps)",
        in_batches(models, photos, codes, Schedule(detail, blend=None), batch)[0],
    )
    return Table(
        f"Reconstruction of {len(test)} held-out photos at {SIZE} px, background left out",
        ("drawn by", "PSNR, dB", "perceptual distance"),
        tuple(rows),
    )
