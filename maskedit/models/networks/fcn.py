"""Fully convolutional networks (Long et al. 2015) with torchvision's keys: FCN-ResNet50 and 101 of Table VIII."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.files.state_dict import State, fill, shape_of, unwrap
from maskedit.models.networks.resnet import ResNet


class FCN(nn.Module):
    """Two convolutions on a dilated ResNet.

    Args:
        backbone: the trunk: ``ResNet(dilated=True)`` is ResNet-50.
        classes: number of classes.
    """

    def __init__(self, *, backbone: ResNet, classes: int) -> None:
        super().__init__()
        hidden = backbone.channels // 4
        self.backbone = backbone
        self.classifier = nn.Sequential(
            nn.Conv2d(backbone.channels, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(hidden, classes, 1),
        )

    @classmethod
    def from_state_dict(cls, state: State) -> "FCN":
        """The network with these weights, its sizes read from their keys and shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not an FCN's.
        """
        state = unwrap(state)
        shape_of(state, "classifier.0.weight", cls.__name__)
        classes = shape_of(state, "classifier.4.weight", cls.__name__)[0]
        with torch.device("meta"):
            network = cls(backbone=ResNet.like(state, prefix="backbone.", dilated=True), classes=classes)
        return fill(network, state)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h w"]:
        """Logits at the size of the picture."""
        logits = self.classifier(self.backbone.features(x)[-1])
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)
