"""The Inception v3 in whose features Fréchet distances (FID) are taken: a port of the TensorFlow network of 2015.

Keys are those of pytorch-fid's ``pt_inception-2015-12-05-6726825d.pth``. It differs from torchvision's Inception v3 in
its pools, which do not count the padding, in the last pool, which is a maximum, and in its 1008 classes.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.files.state_dict import State, fill, shape_of, unwrap
from maskedit.types import Image

SIZE = 299


class Unit(nn.Module):
    """A convolution, batch norm and ReLU. A padding of None keeps the size."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        around = (height // 2, width // 2) if padding is None else (padding, padding)
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride=stride, padding=around, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs _ _"]:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class MixedA(nn.Module):
    """Kernels of 1, 5 and twice 3 side by side."""

    def __init__(self, inputs: int, *, pool: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(inputs, 64)
        self.branch5x5_1 = Unit(inputs, 48)
        self.branch5x5_2 = Unit(48, 64, 5)
        self.branch3x3dbl_1 = Unit(inputs, 64)
        self.branch3x3dbl_2 = Unit(64, 96, 3)
        self.branch3x3dbl_3 = Unit(96, 96, 3)
        self.branch_pool = Unit(inputs, pool)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(_average(x))], dim=1)


class MixedB(nn.Module):
    """Halves the map: kernels of 3 and twice 3, and a maximum."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(inputs, 384, 3, stride=2, padding=0)
        self.branch3x3dbl_1 = Unit(inputs, 64)
        self.branch3x3dbl_2 = Unit(64, 96, 3)
        self.branch3x3dbl_3 = Unit(96, 96, 3, stride=2, padding=0)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ _ _"]:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], dim=1)


class MixedC(nn.Module):
    """Kernels of 7 as 1 x 7 and 7 x 1."""

    def __init__(self, inputs: int, *, narrow: int) -> None:
        super().__init__()
        across, down = (1, 7), (7, 1)
        self.branch1x1 = Unit(inputs, 192)
        self.branch7x7_1 = Unit(inputs, narrow)
        self.branch7x7_2 = Unit(narrow, narrow, across)
        self.branch7x7_3 = Unit(narrow, 192, down)
        self.branch7x7dbl_1 = Unit(inputs, narrow)
        self.branch7x7dbl_2 = Unit(narrow, narrow, down)
        self.branch7x7dbl_3 = Unit(narrow, narrow, across)
        self.branch7x7dbl_4 = Unit(narrow, narrow, down)
        self.branch7x7dbl_5 = Unit(narrow, 192, across)
        self.branch_pool = Unit(inputs, 192)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], dim=1)


class MixedD(nn.Module):
    """Halves the map: kernels of 3, and of 7 and 3, and a maximum."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = Unit(inputs, 192)
        self.branch3x3_2 = Unit(192, 320, 3, stride=2, padding=0)
        self.branch7x7x3_1 = Unit(inputs, 192)
        self.branch7x7x3_2 = Unit(192, 192, (1, 7))
        self.branch7x7x3_3 = Unit(192, 192, (7, 1))
        self.branch7x7x3_4 = Unit(192, 192, 3, stride=2, padding=0)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ _ _"]:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, stride=2)], dim=1)


class MixedE(nn.Module):
    """Kernels of 3 as 1 x 3 and 3 x 1, side by side."""

    def __init__(self, inputs: int, *, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Unit(inputs, 320)
        self.branch3x3_1 = Unit(inputs, 384)
        self.branch3x3_2a = Unit(384, 384, (1, 3))
        self.branch3x3_2b = Unit(384, 384, (3, 1))
        self.branch3x3dbl_1 = Unit(inputs, 448)
        self.branch3x3dbl_2 = Unit(448, 384, 3)
        self.branch3x3dbl_3a = Unit(384, 384, (1, 3))
        self.branch3x3dbl_3b = Unit(384, 384, (3, 1))
        self.branch_pool = Unit(inputs, 192)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _average(x)
        return torch.cat([self.branch1x1(x), *parts, self.branch_pool(pooled)], dim=1)


class FIDInception(nn.Module):
    """Pictures as 2048 numbers, for distances between sets of pictures.

    Args:
        classes: of the last layer, which is kept for its keys and not used.
    """

    def __init__(self, *, classes: int = 1008) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2, padding=0)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, padding=0)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, padding=0)
        self.Mixed_5b = MixedA(192, pool=32)
        self.Mixed_5c = MixedA(256, pool=64)
        self.Mixed_5d = MixedA(288, pool=64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b = MixedC(768, narrow=128)
        self.Mixed_6c = MixedC(768, narrow=160)
        self.Mixed_6d = MixedC(768, narrow=160)
        self.Mixed_6e = MixedC(768, narrow=192)
        self.Mixed_7a = MixedD(768)
        self.Mixed_7b = MixedE(1280, maximum=False)
        self.Mixed_7c = MixedE(2048, maximum=True)
        self.fc = nn.Linear(2048, classes)

    @classmethod
    def from_state_dict(cls, state: State) -> "FIDInception":
        """The network with these weights; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not such an Inception's.
        """
        state = unwrap(state)
        classes = shape_of(state, "fc.weight", cls.__name__)[0]
        with torch.device("meta"):
            network = cls(classes=classes)
        return fill(network, state)

    def forward(self, image: Image) -> Float[Tensor, "b 2048"]:
        """Features of pictures in [0, 1] of any size; they are seen at 299 px, resized without smoothing."""
        *_, x = self.blocks(image)
        return x.mean((2, 3))

    def blocks(self, image: Image) -> Iterator[Float[Tensor, "b _ _ _"]]:
        """The maps after each of the four blocks, of 64, 192, 768 and 2048 channels."""
        x = F.interpolate(image, (SIZE, SIZE), mode="bilinear", align_corners=False) * 2 - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        yield (x := F.max_pool2d(x, 3, stride=2))
        yield (x := F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, stride=2))
        for mixed in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a, self.Mixed_6b, self.Mixed_6c):
            x = mixed(x)
        yield (x := self.Mixed_6e(self.Mixed_6d(x)))
        yield self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))


def _average(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
