"""Where the latents of real faces lie, and which way each attribute changes them."""

from collections.abc import Mapping

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from maskedit.models.networks.portraits import PortraitEncoder
from maskedit.protocols import LatentDistribution
from maskedit.training.faces import Faces

ATTRIBUTE_COMPONENTS, RIDGE = 64, 5.0
"""How many principal components :func:`attribute_changes` is given, and the ridge of its regression."""


@torch.no_grad()
def latents_of(
    encoder: PortraitEncoder,
    faces: Faces,
    components: int,
    known: Mapping[str, Float[Tensor, " n"]] | None = None,
) -> LatentDistribution:
    """Mean, principal components and attributes' directions of the latents of photos and their mirror images.

    Args:
        encoder: gives the latents.
        faces: the photos.
        components: how many principal components.
        known: labels of the photos by attribute: 1 present, 0 absent, NaN unknown.
    """
    photos = faces.resized(encoder.size).float() / 255
    latents = torch.cat([encoder.encode(part) for part in torch.cat([photos, photos.flip(3)]).split(64)])
    codes = rearrange(latents, "n layers dim -> n (layers dim)")
    mean = codes.mean(0)
    _, values, directions = torch.linalg.svd(codes - mean, full_matrices=False)
    deviations = values / (len(codes) - 1) ** 0.5
    directions, deviations = directions[:components], deviations[:components]
    scores = (codes - mean) @ directions.mT / deviations
    changes = attribute_changes(scores[:, :ATTRIBUTE_COMPONENTS], {k: v.repeat(2) for k, v in (known or {}).items()})
    along = {
        name: (change * deviations[: len(change)] @ directions[: len(change)]).view(encoder.latent_shape)
        for name, change in changes.items()
    }
    return LatentDistribution(mean.view(encoder.latent_shape), directions, deviations, along)


def attribute_changes(
    scores: Float[Tensor, "n k"], known: Mapping[str, Float[Tensor, " n"]]
) -> dict[str, Float[Tensor, " k"]]:
    """What each attribute adds to the scores of those who have it, all other attributes equal.

    Ridge regression of the scores on all labels at once, so that smiling does not bring along what those who smile
    have otherwise in common. Unknown labels count as the mean.

    Args:
        scores: of latents along principal components, in standard deviations.
        known: by attribute: 1 present, 0 absent, NaN unknown.

    Returns:
        By attribute, the change of the scores from absent to present; zeros where nothing is known.
    """
    if not known:
        return {}
    labels = torch.stack(list(known.values()), 1)
    centred = (labels - labels.nanmean(0)).nan_to_num(0.0)
    changes = torch.linalg.solve(centred.mT @ centred + RIDGE * torch.eye(labels.shape[1]), centred.mT @ scores)
    return dict(zip(known, changes, strict=True))
