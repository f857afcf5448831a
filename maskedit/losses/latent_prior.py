"""Keep a latent where those of real pictures lie: not in the paper."""

from einops import rearrange
from torch import nn

from maskedit.errors import InputError
from maskedit.losses._checks import check_floating, full, shape_text
from maskedit.protocols import LatentDistribution
from maskedit.types import Latent, PerSample


def latent_prior(latent: Latent, latents: LatentDistribution) -> PerSample:
    """How unusual a latent is: the mean squared standard score of its coordinates.

    Along each principal component the score is in that component's deviation; what the components do not
    span is measured in the smallest of them. About 1 or less for latents of real pictures, 0 at the mean.
    Not in the paper: it keeps small generators from painting lumps that please the classifier.

    Args:
        latent: ``[b, layers, dim]``.
        latents: where plausible latents lie.

    Returns:
        ``[b]``.

    Raises:
        InputError: if the latent does not have the distribution's layers and dim.
    """
    check_floating(latent=latent)
    if latent.ndim != 3 or latent.shape[1:] != latents.mean.shape:
        raise InputError(
            "the latent is not of this distribution",
            expected=f"[b, {latents.mean.shape[0]}, {latents.mean.shape[1]}]",
            actual=shape_text(latent),
        )
    offset = rearrange(full(latent) - latents.mean, "b layers dim -> b (layers dim)")
    scores = offset @ latents.components.mT
    spanned = (scores / latents.deviations).square().sum(dim=1)
    rest = (offset.square().sum(dim=1) - scores.square().sum(dim=1)).clamp_min(0)
    return (spanned + rest / latents.deviations[-1].square()) / offset.shape[1]


class LatentPrior(nn.Module):
    """Keep a latent plausible: :func:`~maskedit.functional.latent_prior`."""

    def forward(self, latent: Latent, latents: LatentDistribution) -> PerSample:
        """The mean squared standard score of the latent.

        Args:
            latent: ``[b, layers, dim]``.
            latents: where plausible latents lie.

        Returns:
            ``[b]``, zero at the mean, about 1 for latents of real pictures.
        """
        return latent_prior(latent, latents)
