"""DeepLabV3 (Chen et al. 2017) with torchvision's keys: the face parser of the paper and of its released program."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.adapters import SegmentationParser
from maskedit.models.files.state_dict import State, fill, shape_of, unwrap
from maskedit.models.networks.resnet import ResNet
from maskedit.models.preprocess import Preprocess
from maskedit.models.region_labels import RELEASED_LABELS

RATES = (12, 24, 36)


class PyramidPooling(nn.Module):
    """Atrous spatial pyramid pooling: one picture of features seen at several dilations, and as a whole.

    Args:
        inputs: channels in.
        outputs: channels of each branch, and out.
    """

    def __init__(self, *, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), *_norm(outputs)),
                *(
                    nn.Sequential(
                        nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False), *_norm(outputs)
                    )
                    for rate in RATES
                ),
                nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), *_norm(outputs)),
            ]
        )
        self.project = nn.Sequential(
            nn.Conv2d(len(self.convs) * outputs, outputs, 1, bias=False), *_norm(outputs), nn.Dropout(0.5)
        )

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h w"]:
        seen = [branch(x) for branch in self.convs]
        seen[-1] = seen[-1].expand_as(seen[0])
        return self.project(torch.cat(seen, dim=1))


class DeepLabV3(nn.Module):
    """DeepLabV3 on a dilated ResNet.

    Args:
        backbone: the trunk: ``ResNet(dilated=True)`` is ResNet-50.
        classes: number of classes.
        hidden: channels of the head.
    """

    def __init__(self, *, backbone: ResNet, classes: int, hidden: int = 256) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Sequential(
            PyramidPooling(inputs=backbone.channels, outputs=hidden),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            *_norm(hidden),
            nn.Conv2d(hidden, classes, 1),
        )

    @classmethod
    def from_state_dict(cls, state: State) -> "DeepLabV3":
        """The network with these weights, its sizes read from their keys and shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not a DeepLabV3's.
        """
        state = unwrap(state)
        shape_of(state, "classifier.0.project.0.weight", cls.__name__)
        classes, hidden = shape_of(state, "classifier.4.weight", cls.__name__)[:2]
        with torch.device("meta"):
            backbone = ResNet.like(state, prefix="backbone.", dilated=True)
            network = cls(backbone=backbone, classes=classes, hidden=hidden)
        return fill(network, state)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h w"]:
        """Logits at the size of the picture."""
        logits = self.classifier(self.backbone.features(x)[-1])
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)


def released_parser(state: State) -> SegmentationParser:
    """MaskFaceGAN's parser: nine classes, at 512 px, on pictures in [-1, 1].

    Raises:
        CheckpointError: if keys or shapes are not a DeepLabV3's.
    """
    network = DeepLabV3.from_state_dict(state)
    preprocess = Preprocess(size=512, input_range=(-1, 1))
    return SegmentationParser(network, labels=RELEASED_LABELS, preprocess=preprocess)


def _norm(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
