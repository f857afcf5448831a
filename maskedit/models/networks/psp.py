"""pSp (Richardson et al. 2021) and e4e (Tov et al. 2021): from a photo to its latent in one pass.

Both are one network, an IR-SE50 with a small head for each layer of the generator, and differ in what the heads give:
pSp's the rows of the latent, e4e's the first row and how much each other row differs from it. Keys are those of the
published checkpoints.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import CheckpointError, InputError
from maskedit.models.files.state_dict import State, count, fill, shape_of
from maskedit.models.networks.ir_se50 import SIZE, body, input_layer
from maskedit.models.preprocess import resize_by_area
from maskedit.types import Image, Latent


class Linear(nn.Linear):
    """A linear layer whose stored weights are ``sqrt(inputs)`` times too large, as StyleGAN's are."""

    def forward(self, x: Float[Tensor, "b inputs"]) -> Float[Tensor, "b outputs"]:
        return F.linear(x, self.weight / math.sqrt(self.in_features), self.bias)


class Head(nn.Module):
    """Halves a map until one pixel is left: a row of the latent.

    Args:
        channels: of the map, and numbers in the row.
        size: side of the map in pixels.
    """

    def __init__(self, *, channels: int, size: int) -> None:
        super().__init__()
        halvings = [nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(size.bit_length() - 1)]
        self.convs = nn.Sequential(*(layer for conv in halvings for layer in (conv, nn.LeakyReLU(0.01))))
        self.linear = Linear(channels, channels)

    def forward(self, x: Float[Tensor, "b c _ _"]) -> Float[Tensor, "b c"]:
        return self.linear(self.convs(x).flatten(1))


class StyleEncoder(nn.Module):
    """The network of pSp, e4e and ReStyle.

    Args:
        rows: how many the latent has, one head each: 18 for a generator of 1024 px.
        inputs: channels of the picture: 3, or ReStyle's 6.
        pyramid: heads of finer layers see finer maps, as in pSp and e4e; in ReStyle all see the coarsest.
        progressive: rows are added to the first one, as in e4e; else each stands for itself, as in pSp.
        width: channels of the first group; 64 as published. Rows have eight times as many numbers.
    """

    def __init__(
        self, *, rows: int = 18, inputs: int = 3, pyramid: bool = True, progressive: bool = False, width: int = 64
    ) -> None:
        super().__init__()
        self.inputs, self.progressive, self.pyramid = inputs, progressive, pyramid
        channels = 8 * width
        self.input_layer = input_layer(inputs=inputs, width=width)
        self.body = body(width=width)
        self.styles = nn.ModuleList(Head(channels=channels, size=16 << self._level(i)) for i in range(rows))
        if pyramid:
            self.latlayer1 = nn.Conv2d(4 * width, channels, 1)
            self.latlayer2 = nn.Conv2d(2 * width, channels, 1)

    @classmethod
    def from_state_dict(cls, state: State, *, progressive: bool) -> "StyleEncoder":
        """The network with these weights, its sizes read from their keys and shapes; frozen, in eval mode.

        Args:
            state: keys as in the checkpoints, without ``encoder.`` before them.
            progressive: whether rows are added to the first one; the keys do not say.

        Raises:
            CheckpointError: if keys or shapes are not such a network's.
        """
        width, inputs = shape_of(state, "input_layer.0.weight", cls.__name__)[:2]
        with torch.device("meta"):
            network = cls(
                rows=count(state, "styles."),
                inputs=inputs,
                pyramid="latlayer1.weight" in state,
                progressive=progressive,
                width=width,
            )
        return fill(network, state)

    def forward(self, x: Float[Tensor, "b c h w"], stage: int | None = None) -> Latent:
        """How the latents ``[b, rows, dim]`` differ from the mean latent.

        Args:
            x: pictures of 256 px in [-1, 1].
            stage: of e4e's training: rows above it are the first row alone. None is the end of training.

        Raises:
            InputError: if the picture has another size.
        """
        if tuple(x.shape[1:]) != (self.inputs, SIZE, SIZE):
            raise InputError(
                "the encoder takes pictures of another size",
                expected=f"[b, {self.inputs}, {SIZE}, {SIZE}]",
                actual=str(list(x.shape)),
            )
        maps = self.maps(x)
        last = len(self.styles) - 1 if stage is None else stage
        rows = [head(maps[self._level(i)]) for i, head in enumerate(self.styles) if i <= last]
        if self.progressive:
            rows = [rows[0], *(rows[0] + row for row in rows[1:])]
            rows += [rows[0]] * (len(self.styles) - len(rows))
        return torch.stack(rows, dim=1)

    def maps(self, x: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b channels _ _"]]:
        """The maps that the heads see, 1/16, 1/8 and 1/4 of the picture's size; without a pyramid the first alone."""
        kept, x = {}, self.input_layer(x)
        for i, unit in enumerate(self.body):
            kept[i] = x = unit(x)
        if not self.pyramid:
            return [x]
        middle = _enlarged(x, self.latlayer1(kept[20]))
        return [x, middle, _enlarged(middle, self.latlayer2(kept[6]))]

    def _level(self, row: int) -> int:
        """Which map a row's head sees: 0 the coarsest."""
        return (row >= 3) + (row >= 7) if self.pyramid else 0


class SingleStyleEncoder(nn.Module):
    """The network of a pSp that was trained to stay in W: one row, from the mean of the coarsest map.

    Args:
        width: channels of the first group; 64 as published.
    """

    inputs = 3

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        self.input_layer = input_layer(width=width)
        self.body = body(width=width)
        self.linear = Linear(8 * width, 8 * width)

    @classmethod
    def from_state_dict(cls, state: State) -> "SingleStyleEncoder":
        """The network with these weights; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not such a network's.
        """
        with torch.device("meta"):
            network = cls(width=shape_of(state, "input_layer.0.weight", cls.__name__)[0])
        return fill(network, state)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 dim"]:
        """How the latents differ from the mean latent, for pictures in [-1, 1]."""
        return self.linear(self.body(self.input_layer(x)).mean((2, 3)))[:, None]


class PSP(nn.Module):
    """pSp and e4e as a :class:`maskedit.protocols.Encoder`.

    Args:
        encoder: how a photo's latent differs from the mean latent.
        latent_avg: the mean latent ``[rows, dim]``.
    """

    latent_avg: Float[Tensor, "rows dim"]

    def __init__(self, encoder: StyleEncoder | SingleStyleEncoder, latent_avg: Float[Tensor, "rows dim"]) -> None:
        super().__init__()
        if encoder.inputs != 3:
            raise CheckpointError(
                "the encoder does not take photos", expected="3 channels", actual=f"{encoder.inputs} channels"
            )
        self.encoder = encoder
        self.register_buffer("latent_avg", latent_avg)

    def encode(self, image: Image) -> Latent:
        """Latents ``[b, rows, dim]`` for pictures in [0, 1] of any size; they are seen at 256 px."""
        return self.latent_avg + self.encoder(resize_by_area(image, SIZE) * 2 - 1)

    forward = encode


def _enlarged(coarse: Float[Tensor, "b c _ _"], fine: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=True) + fine
