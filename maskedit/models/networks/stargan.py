"""StarGAN (Choi et al. 2018): one generator for all attributes, told the wanted labels; with the published keys.

Pictures are RGB in [-1, 1], in and out, of any size that is a multiple of 4. Labels are 0 or 1, and describe the
wanted state of every attribute, not the change.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.files.state_dict import State, count, fill, shape_of, unwrap


class StarGAN(nn.Module):
    """The generator.

    The released program never calls ``eval()``, not for testing either: every picture is normalised by its own
    statistics. So it is here in either mode; ``stored_statistics`` takes the running ones, which are in the files all
    the same, in evaluation mode.

    Args:
        attributes: how many.
        width: channels after the first convolution.
        blocks: residual blocks.
        stored_statistics: normalise by the running statistics in evaluation mode.
    """

    def __init__(
        self, *, attributes: int = 5, width: int = 64, blocks: int = 6, stored_statistics: bool = False
    ) -> None:
        super().__init__()
        self.attributes = attributes

        def norm(channels: int) -> nn.Module:
            return _InstanceNorm(channels, stored=stored_statistics)

        layers: list[nn.Module] = [nn.Conv2d(3 + attributes, width, 7, 1, 3, bias=False), norm(width), nn.ReLU()]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), norm(2 * width), nn.ReLU()]
            width *= 2
        layers += [_Residual(width, norm) for _ in range(blocks)]
        for _ in range(2):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), norm(width // 2), nn.ReLU()]
            width //= 2
        layers += [nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    @classmethod
    def from_state_dict(cls, state: State, *, stored_statistics: bool = False) -> "StarGAN":
        """The generator with these weights (``200000-G.ckpt``), its sizes read from them; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not StarGAN's.
        """
        state = unwrap(state)
        width, inputs = shape_of(state, "main.0.weight", cls.__name__)[:2]
        blocks = sum(key.endswith(".main.0.weight") for key in state)
        with torch.device("meta"):
            network = cls(attributes=inputs - 3, width=width, blocks=blocks, stored_statistics=stored_statistics)
        return fill(network, state)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], labels: Float[Tensor, "b attributes"]
    ) -> Float[Tensor, "b 3 h w"]:
        """The pictures with these labels."""
        told = labels[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.main(torch.cat([image, told], 1))


class StarGANDiscriminator(nn.Module):
    """Tells real from drawn, patch by patch, and which attributes there are.

    Args:
        attributes: how many.
        width: channels after the first convolution; each further one doubles them.
        layers: convolutions of stride 2.
        size: side of the pictures in pixels, a multiple of ``2 ** layers``.
    """

    def __init__(self, *, attributes: int = 5, width: int = 64, layers: int = 6, size: int = 128) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.01)]
        for _ in range(layers - 1):
            parts += [nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.01)]
            width *= 2
        self.main = nn.Sequential(*parts)
        self.conv1 = nn.Conv2d(width, 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(width, attributes, size >> layers, bias=False)

    @classmethod
    def from_state_dict(cls, state: State) -> "StarGANDiscriminator":
        """The discriminator with these weights (``200000-D.ckpt``), its sizes read from them; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not StarGAN's.
        """
        state = unwrap(state)
        width = shape_of(state, "main.0.weight", cls.__name__)[0]
        attributes, _, side, _ = shape_of(state, "conv2.weight", cls.__name__)
        layers = count(state, "main.")
        with torch.device("meta"):
            network = cls(attributes=attributes, width=width, layers=layers, size=side << layers)
        return fill(network, state)

    def forward(
        self, image: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b 1 _ _"], Float[Tensor, "b attributes"]]:
        """How real each patch looks, higher for real, and the attributes' logits."""
        x = self.main(image)
        return self.conv1(x), self.conv2(x).flatten(1)


class _InstanceNorm(nn.InstanceNorm2d):
    """Normalises by the picture's own statistics, also in evaluation mode, though it keeps running ones."""

    def __init__(self, channels: int, *, stored: bool) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)
        self.stored = stored

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.stored:
            return super().forward(x)
        return F.instance_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)
