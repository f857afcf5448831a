"""UNet (Ronneberger et al. 2015), the parser of Table VIII, with the keys of the most used PyTorch port.

That is Pytorch-UNet's: padded convolutions with batch norm; ``bilinear`` upsampling or transposed convolutions.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.files.state_dict import State, fill, shape_of, unwrap


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU.

    Args:
        inputs: channels in.
        outputs: channels out.
        hidden: channels between; ``outputs`` if None.
    """

    def __init__(self, *, inputs: int, outputs: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or outputs
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h w"]:
        return self.double_conv(x)


class Down(nn.Module):
    """Halves the size by max pooling, then convolves."""

    def __init__(self, *, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs=inputs, outputs=outputs))

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs _ _"]:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles the size, joins the map of that size from the way down, then convolves.

    Args:
        inputs: channels from below and beside together.
        outputs: channels out.
        bilinear: resize instead of a transposed convolution.
    """

    up: nn.Module

    def __init__(self, *, inputs: int, outputs: int, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        else:
            self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
        self.conv = DoubleConv(inputs=inputs, outputs=outputs, hidden=inputs // 2 if bilinear else None)

    def forward(
        self, below: Float[Tensor, "b below h1 w1"], beside: Float[Tensor, "b beside h w"]
    ) -> Float[Tensor, "b outputs h w"]:
        x = self.up(below)
        rows, columns = beside.shape[-2] - x.shape[-2], beside.shape[-1] - x.shape[-1]
        if rows or columns:  # an odd size was rounded down on the way
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return self.conv(torch.cat([beside, x], dim=1))


class UNet(nn.Module):
    """UNet of four halvings.

    Args:
        classes: number of classes.
        width: channels at full size; doubled at each halving.
        bilinear: resize on the way up, with half the channels at the bottom, instead of transposed convolutions.
    """

    def __init__(self, *, classes: int, width: int = 64, bilinear: bool = False) -> None:
        super().__init__()
        half = 2 if bilinear else 1
        self.inc = DoubleConv(inputs=3, outputs=width)
        self.down1 = Down(inputs=width, outputs=2 * width)
        self.down2 = Down(inputs=2 * width, outputs=4 * width)
        self.down3 = Down(inputs=4 * width, outputs=8 * width)
        self.down4 = Down(inputs=8 * width, outputs=16 * width // half)
        self.up1 = Up(inputs=16 * width, outputs=8 * width // half, bilinear=bilinear)
        self.up2 = Up(inputs=8 * width, outputs=4 * width // half, bilinear=bilinear)
        self.up3 = Up(inputs=4 * width, outputs=2 * width // half, bilinear=bilinear)
        self.up4 = Up(inputs=2 * width, outputs=width, bilinear=bilinear)
        self.outc = nn.ModuleDict({"conv": nn.Conv2d(width, classes, 1)})

    @classmethod
    def from_state_dict(cls, state: State) -> "UNet":
        """The network with these weights, its sizes read from their keys and shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not a UNet's.
        """
        state = unwrap(state)
        classes, width = shape_of(state, "outc.conv.weight", cls.__name__)[:2]
        with torch.device("meta"):
            network = cls(classes=classes, width=width, bilinear="up1.up.weight" not in state)
        return fill(network, state)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h w"]:
        """Logits at the size of the picture."""
        beside = [self.inc(x)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            beside.append(down(beside[-1]))
        x = beside.pop()
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = up(x, beside.pop())
        return self.outc["conv"](x)
