"""BiSeNet on a ResNet-18 (Yu et al. 2018), with the keys of face-parsing.PyTorch, the port in popular use.

The port takes the ResNet's features at 1/8 of the size in place of the paper's spatial path.
"""

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.adapters import SegmentationParser
from maskedit.models.files.state_dict import State, fill, shape_of, unwrap
from maskedit.models.networks.resnet import ResNet
from maskedit.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from maskedit.models.region_labels import BISENET_LABELS

Map = Float[Tensor, "b channels h w"]


class ConvBNReLU(nn.Module):
    """A convolution that keeps the size, batch norm, ReLU."""

    def __init__(self, *, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h w"]:
        return F.relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Module):
    """Convolves, then weighs each channel by what the whole picture shows."""

    def __init__(self, *, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(inputs=inputs, outputs=outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h w"]:
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(_whole(x))).sigmoid()


class ContextPath(nn.Module):
    """The ResNet's features, and what its deeper layers say, brought up to 1/8 of the size.

    Args:
        resnet: a trunk whose layers halve the size.
        width: channels of what is brought up.
    """

    def __init__(self, *, resnet: ResNet, width: int) -> None:
        super().__init__()
        deep = resnet.channels
        self.resnet = resnet
        self.arm16 = AttentionRefinement(inputs=deep // 2, outputs=width)
        self.arm32 = AttentionRefinement(inputs=deep, outputs=width)
        self.conv_head32 = ConvBNReLU(inputs=width, outputs=width)
        self.conv_head16 = ConvBNReLU(inputs=width, outputs=width)
        self.conv_avg = ConvBNReLU(inputs=deep, outputs=width, kernel=1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _ h8 w8"], Float[Tensor, "b _ h8 w8"]]:
        _, at8, at16, at32 = self.resnet.features(x)
        y = self.arm32(at32) + self.conv_avg(_whole(at32))
        y = self.conv_head32(F.interpolate(y, at16.shape[-2:], mode="nearest"))
        y = self.arm16(at16) + y
        y = self.conv_head16(F.interpolate(y, at8.shape[-2:], mode="nearest"))
        return at8, y


class FeatureFusion(nn.Module):
    """Joins two maps, then adds to each channel as much of itself as the whole picture asks for."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(inputs=channels, outputs=channels, kernel=1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, first: Float[Tensor, "b _ h w"], second: Float[Tensor, "b _ h w"]) -> Map:
        x = self.convblk(torch.cat([first, second], dim=1))
        return x + x * self.conv2(F.relu(self.conv1(_whole(x)))).sigmoid()


class Output(nn.Module):
    """From features to logits."""

    def __init__(self, *, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(inputs=inputs, outputs=hidden)
        self.conv_out = nn.Conv2d(hidden, classes, 1, bias=False)

    def forward(self, x: Map) -> Float[Tensor, "b classes h w"]:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """BiSeNet.

    Args:
        classes: number of classes.
        resnet: the trunk; ResNet-18 if None.
    """

    def __init__(self, *, classes: int, resnet: ResNet | None = None) -> None:
        super().__init__()
        resnet = resnet or ResNet(blocks=(2, 2, 2, 2), bottleneck=False)
        width = resnet.channels // 4
        self.cp = ContextPath(resnet=resnet, width=width)
        self.ffm = FeatureFusion(channels=2 * width)
        self.conv_out = Output(inputs=2 * width, hidden=2 * width, classes=classes)
        # Two more outputs help in training; their weights are in the files, and nothing here computes them.
        self.conv_out16 = Output(inputs=width, hidden=width // 2, classes=classes)
        self.conv_out32 = Output(inputs=width, hidden=width // 2, classes=classes)

    @classmethod
    def from_state_dict(cls, state: State) -> "BiSeNet":
        """The network with these weights, its sizes read from their keys and shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not a BiSeNet's.
        """
        state = unwrap(state)
        classes = shape_of(state, "conv_out.conv_out.weight", cls.__name__)[0]
        with torch.device("meta"):
            network = cls(classes=classes, resnet=ResNet.like(state, prefix="cp.resnet."))
        return fill(network, state)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h w"]:
        """Logits at the size of the picture."""
        logits = self.conv_out(self.ffm(*self.cp(x)))
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=True)


def celebamask_parser(state: State) -> SegmentationParser:
    """face-parsing.PyTorch's parser: CelebAMask-HQ's 19 classes in the port's order, at 512 px, ImageNet's range.

    Raises:
        CheckpointError: if keys or shapes are not a BiSeNet's.
    """
    network = BiSeNet.from_state_dict(state)
    preprocess = Preprocess(size=512, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return SegmentationParser(network, labels=BISENET_LABELS, preprocess=preprocess)


def _whole(x: Map) -> Float[Tensor, "b channels 1 1"]:
    return reduce(x, "b channels h w -> b channels 1 1", "mean")
