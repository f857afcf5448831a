"""Whether two pictures show the same person, as far as a network of yours can tell."""

from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.types import Image, PerSample


@runtime_checkable
class Embedder(Protocol):
    """Places faces in a space where pictures of one person lie in one direction: ArcFace, FaceNet, our own."""

    def embed(self, image: Image) -> Float[Tensor, "b dim"]:
        """Vectors ``[b, dim]`` of RGB pictures in [0, 1], of any length."""
        ...


def identity_similarity(embedder: Embedder, first: Image, second: Image) -> PerSample:
    """Cosine of the angle between the embeddings of two pictures: 1 for the same person, about 0 for strangers.

    What counts as the same differs from network to network: give beside it the similarity of pictures of other people.

    Args:
        embedder: the network.
        first: ``[b, 3, h, w]``.
        second: ``[b, 3, h, w]``, pair by pair.

    Returns:
        ``[b]``, in [-1, 1].
    """
    return F.cosine_similarity(embedder.embed(first), embedder.embed(second))
