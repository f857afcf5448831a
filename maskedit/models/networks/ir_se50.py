"""IR-SE50, the residual network of faces with squeeze and excitation, and the identity that it was trained to tell.

The body is that of ArcFace (Deng et al. 2019) as TreB1eN/InsightFace_Pytorch builds it; pSp, e4e and ReStyle begin
with it too. Keys are those of the published ``model_ir_se50.pth``.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.files.state_dict import State, fill, shape_of, unwrap
from maskedit.models.preprocess import resize_by_area
from maskedit.types import Image

GROUPS = (3, 4, 14, 3)
"""Units in each group; the first of each halves the picture, and each group but the first doubles the channels."""
SIZE = 256
"""Side of the pictures that the face is cut out of, in pixels, and that encoders take."""


class SqueezeExcitation(nn.Module):
    """Scales each channel by what all channels are on average (Hu et al. 2018)."""

    def __init__(self, *, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x * self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()


class Unit(nn.Module):
    """Batch norm first, then two 3x3 convolutions, the second of which strides, beside a shortcut; nothing after."""

    def __init__(self, *, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcitation(channels=outputs),
        )
        self.stride = stride
        self.shortcut_layer = None
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs _ _"]:
        if self.shortcut_layer is None:
            shortcut = x[:, :, :: self.stride, :: self.stride]
        else:
            shortcut = self.shortcut_layer(x)
        return self.res_layer(x) + shortcut


def input_layer(*, inputs: int = 3, width: int = 64) -> nn.Sequential:
    """The convolution before the body."""
    return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width))


def body(*, width: int = 64) -> nn.Sequential:
    """The 24 units, with ``width`` channels in the first group and eight times as many in the last."""
    units, inputs = [], width
    for group, count in enumerate(GROUPS):
        outputs = width << group
        for i in range(count):
            units.append(Unit(inputs=inputs, outputs=outputs, stride=1 if i else 2))
            inputs = outputs
    return nn.Sequential(*units)


class FaceIdentity(nn.Module):
    """Tells whether two pictures show one person: the angle between their features.

    Args:
        width: channels of the first group; 64 as published.
        dim: how many numbers describe a face; 512 as published.
    """

    def __init__(self, *, width: int = 64, dim: int = 512) -> None:
        super().__init__()
        self.input_layer = input_layer(width=width)
        self.body = body(width=width)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(8 * width),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(8 * width * 7 * 7, dim),
            nn.BatchNorm1d(dim),
        )

    @classmethod
    def from_state_dict(cls, state: State) -> "FaceIdentity":
        """The network with these weights, its sizes read from their shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not an IR-SE50's.
        """
        state = unwrap(state)
        width = shape_of(state, "input_layer.0.weight", cls.__name__)[0]
        dim = shape_of(state, "output_layer.3.weight", cls.__name__)[0]
        with torch.device("meta"):
            network = cls(width=width, dim=dim)
        return fill(network, state)

    def embed(self, image: Image) -> Float[Tensor, "b dim"]:
        """Features of length 1, whose inner products are cosines.

        Args:
            image: faces aligned as in FFHQ, in [0, 1], of any size; the face is cut out at 256 px.
        """
        x = resize_by_area(image, SIZE)[:, :, 35:223, 32:220] * 2 - 1
        x = F.adaptive_avg_pool2d(x, 112)
        return F.normalize(self.output_layer(self.body(self.input_layer(x))))

    forward = embed
