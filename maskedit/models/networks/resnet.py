"""Residual networks (He et al. 2016) with torchvision's keys: classifiers of Table VII, and trunks of the parsers.

As in torchvision, a bottleneck strides in its 3x3 convolution ("v1.5").
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.files.state_dict import State, count, fill, shape_of, unwrap


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: ResNet-18 and 34."""

    expansion = 1

    def __init__(self, *, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride, dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs _ _"]:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between 1x1 ones that narrow and widen, beside a shortcut: ResNet-50 and deeper."""

    expansion = 4

    def __init__(self, *, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs _ _"]:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """A residual network, with a linear layer on top or without.

    Args:
        blocks: number of blocks in each of the four layers: (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3) is 34 or 50,
            (3, 4, 23, 3) is 101, (3, 8, 36, 3) is 152.
        bottleneck: blocks of three convolutions (from ResNet-50 on) instead of two.
        width: channels of the first convolution.
        outputs: number of logits; None leaves the linear layer out, for use as a trunk.
        dilated: the last two layers dilate instead of striding, so that features are 1/8 of the picture, not 1/32.

    ``channels`` is the number of channels of the last features.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[int] = (3, 4, 6, 3),
        bottleneck: bool = True,
        width: int = 64,
        outputs: int | None = None,
        dilated: bool = False,
    ) -> None:
        super().__init__()
        self.block = Bottleneck if bottleneck else BasicBlock
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        wide = width * self.block.expansion
        self.channels = 8 * wide
        self.layer1 = self._layer(width, width, blocks[0])
        self.layer2 = self._layer(wide, 2 * width, blocks[1], stride=2)
        if dilated:  # a layer's first block still has the dilation of the layer before
            self.layer3 = self._layer(2 * wide, 4 * width, blocks[2], dilations=(1, 2))
            self.layer4 = self._layer(4 * wide, 8 * width, blocks[3], dilations=(2, 4))
        else:
            self.layer3 = self._layer(2 * wide, 4 * width, blocks[2], stride=2)
            self.layer4 = self._layer(4 * wide, 8 * width, blocks[3], stride=2)
        self.fc = nn.Linear(self.channels, outputs) if outputs is not None else None

    @classmethod
    def from_state_dict(cls, state: State) -> "ResNet":
        """The classifier with these weights, its sizes read from their keys and shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not a ResNet's.
        """
        state = unwrap(state)
        outputs = shape_of(state, "fc.weight", cls.__name__)[0]
        with torch.device("meta"):
            network = cls.like(state, outputs=outputs)
        return fill(network, state)

    @classmethod
    def like(cls, state: State, *, prefix: str = "", outputs: int | None = None, dilated: bool = False) -> "ResNet":
        """A network of the sizes that these weights have under ``prefix``; its own weights are new."""
        return cls(
            blocks=[count(state, f"{prefix}layer{i}.") for i in (1, 2, 3, 4)],
            bottleneck=f"{prefix}layer1.0.conv3.weight" in state,
            width=shape_of(state, f"{prefix}conv1.weight", cls.__name__)[0],
            outputs=outputs,
            dilated=dilated,
        )

    def features(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """What each of the four layers gives, from 1/4 of the picture's size down."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b outputs"]:
        """Logits; of a network without a linear layer, the features averaged over the picture."""
        x = reduce(self.features(x)[-1], "b c h w -> b c", "mean")
        return x if self.fc is None else self.fc(x)

    def _layer(
        self, inputs: int, width: int, blocks: int, *, stride: int = 1, dilations: tuple[int, int] = (1, 1)
    ) -> nn.Sequential:
        first, rest = dilations
        outputs = width * self.block.expansion
        return nn.Sequential(
            self.block(inputs=inputs, width=width, stride=stride, dilation=first),
            *(self.block(inputs=outputs, width=width, stride=1, dilation=rest) for _ in range(blocks - 1)),
        )


def _conv3x3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
