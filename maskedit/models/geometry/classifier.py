"""Attributes of shape as logistic functions of a region's own points."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.geometry.mesh import POINTS, camera
from maskedit.models.geometry.network import MeshNet
from maskedit.models.region_labels import positions
from maskedit.types import Image, Logits

SHOWN_BY: Mapping[str, str] = {
    "smiling": "mouth",
    "mouth_slightly_open": "mouth",
    "arched_eyebrows": "eyebrows",
    "pointy_nose": "nose",
    "big_nose": "nose",
    "narrow_eyes": "eyes",
}
"""The attributes that are told, and the region whose points tell each."""


class ShapeClassifier(nn.Module):
    """Says which attributes of shape a face has; a :class:`maskedit.protocols.Classifier`.

    A network finds the mesh's points, the head's turn and size are undone, and each attribute is a logistic function
    of the points of one region: nothing else in the picture can please it.

    Args:
        attributes: what it tells, each with its region.
    """

    mean: Float[Tensor, "points 3"]
    weights: Float[Tensor, "attributes points 2"]
    biases: Float[Tensor, " attributes"]

    def __init__(self, *, attributes: Mapping[str, str] = SHOWN_BY) -> None:
        super().__init__()
        self.regions = dict(attributes)
        self.attributes = tuple(attributes)
        self.net = MeshNet()
        self.register_buffer("mean", torch.zeros(len(POINTS), 3))
        self.register_buffer("weights", torch.zeros(len(attributes), len(POINTS), 2))
        self.register_buffer("biases", torch.zeros(len(attributes)))

    def classify(self, image: Image, attributes: Sequence[str]) -> Logits:
        """Logits ``[b, len(attributes)]``, in the order asked.

        Raises:
            InputError: if an attribute is not among ``self.attributes``.
        """
        return self.of_points(self.net.points(image), attributes)

    def of_points(self, points: Float[Tensor, "b points 2"], attributes: Sequence[str]) -> Logits:
        """The same for points that are known.

        Raises:
            InputError: if an attribute is not among ``self.attributes``.
        """
        chosen = positions(attributes, self.attributes, "attribute")
        mean = self.mean.to(points)
        seen = frontal(points, mean) - mean[:, :2]
        told = torch.einsum("bpc,apc->ba", seen, self.weights[chosen].to(points))
        return told + self.biases[chosen].to(points)


def frontal(points: Float[Tensor, "b points 2"], mean: Float[Tensor, "points 3"]) -> Float[Tensor, "b points 2"]:
    """The points turned to the front and brought to the mean face's size and place, as far as an affine map can."""
    view = camera(points, mean)
    flat = points - view[:, None, :, 3] - mean[None, :, 2:] * view[:, None, :, 2]
    return torch.linalg.solve(view[:, None, :, :2], flat[..., None])[..., 0]
