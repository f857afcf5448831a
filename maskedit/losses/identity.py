"""Keep who is seen: the angle between what a network of faces says of two pictures. Not in the paper."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.losses._checks import check_floating, full, shape_text
from maskedit.types import Image, PerSample


def identity_distance(generated: Float[Tensor, "b dim"], original: Float[Tensor, "b dim"]) -> PerSample:
    """One minus the cosine of two faces' features, as pSp, e4e and ReStyle train with it.

    Args:
        generated: features of the picture that is drawn ``[b, dim]``, of any length.
        original: features of the picture to keep ``[b, dim]``.

    Returns:
        ``[b]``, from 0 for the same direction to 2 for opposite ones.

    Raises:
        InputError: if the features do not match.
    """
    check_floating(generated=generated, original=original)
    if generated.ndim != 2 or generated.shape != original.shape:
        raise InputError(
            "the features of the two pictures do not match",
            expected="[b, dim] twice",
            actual=f"{shape_text(generated)} and {shape_text(original)}",
        )
    return 1 - (F.normalize(full(generated)) * F.normalize(full(original))).sum(1)


class Identity(nn.Module):
    """Keep who is seen: :func:`~maskedit.functional.identity_distance`. A metric as well.

    Args:
        embed: maps an image ``[b, 3, h, w]`` in [0, 1] to features ``[b, dim]``: a
            :class:`~maskedit.models.FaceIdentity`, or any network of faces.

    Example:
        >>> import torch
        >>> image = torch.rand(2, 3, 8, 8)
        >>> Identity(embed=lambda x: x.flatten(1))(image, 0.5 * image).round(decimals=4).abs()
        tensor([0., 0.])
    """

    def __init__(self, *, embed: Callable[[Image], Float[Tensor, "b dim"]]) -> None:
        super().__init__()
        self.embed = embed

    def forward(self, generated: Image, original: Image) -> PerSample:
        """One minus the cosine of what the network says of the two pictures.

        Args:
            generated: the picture that is drawn ``[b, 3, h, w]``.
            original: the picture of the person ``[b, 3, h, w]``.

        Returns:
            ``[b]``, 0 for one and the same face.
        """
        with torch.no_grad():
            kept = self.embed(original)
        return identity_distance(self.embed(generated), kept)

    def extra_repr(self) -> str:
        return "" if isinstance(self.embed, nn.Module) else f"embed={getattr(self.embed, '__qualname__', self.embed)}"
