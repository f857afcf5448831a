"""AttGAN (He et al. 2019): an encoder, and a decoder that is told the wanted attributes; with the published keys.

Pictures are RGB in [-1, 1], in and out, of any size that is a multiple of 32. The attribute vector is ``(2 label - 1)
/ 2``: -0.5 for absent and 0.5 for present. It describes the wanted state of every attribute, not the change; a single
edit sets its own entry to -1 or 1, and other values make it weaker or stronger.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.files.state_dict import State, fill, shape_of, unwrap

LAYERS = 5


class AttGAN(nn.Module):
    """The generator: encoder and decoder.

    Args:
        attributes: how many.
        width: channels after the first convolution; each further one doubles them.
        shortcuts: how many decoder layers, from the deepest on, hand on the encoder's map of their size.
        injections: how many decoder layers, from the deepest on, hand on the attributes once more.
    """

    def __init__(self, *, attributes: int = 13, width: int = 64, shortcuts: int = 1, injections: int = 1) -> None:
        super().__init__()
        self.attributes, self.shortcuts, self.injections = attributes, shortcuts, injections
        widths = [width << i for i in range(LAYERS)]
        self.enc_layers = nn.ModuleList(
            _Layers(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.01))
            for inputs, outputs in zip([3, *widths], widths, strict=False)
        )
        self.dec_layers = nn.ModuleList()
        inputs = widths[-1] + attributes
        for i, outputs in enumerate(reversed(widths[1:])):
            self.dec_layers.append(
                _Layers(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
            )
            inputs = outputs + (i < shortcuts) * widths[-2 - i] + (i < injections) * attributes
        self.dec_layers.append(_Layers(nn.ConvTranspose2d(inputs, 3, 4, 2, 1), nn.Tanh()))

    @classmethod
    def from_state_dict(cls, state: State) -> "AttGAN":
        """The generator with these weights (entry ``G`` of ``weights.N.pth``), its sizes read from them.

        It is frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not AttGAN's.
        """
        state = unwrap(state)
        width = shape_of(state, "enc_layers.0.layers.0.weight", cls.__name__)[0]
        inputs = [shape_of(state, f"dec_layers.{i}.layers.0.weight", cls.__name__)[0] for i in range(LAYERS)]
        attributes = inputs[0] - (width << (LAYERS - 1))
        shortcuts = injections = 0
        for i, given in enumerate(inputs[1:]):
            own = width << (LAYERS - 1 - i)  # what the layer before makes; a shortcut adds half of that
            shortcuts += given - own >= own // 2
            injections += (given - own) % (own // 2) == attributes
        with torch.device("meta"):
            network = cls(attributes=attributes, width=width, shortcuts=shortcuts, injections=injections)
        return fill(network, state)

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps at 1/2, 1/4, ... 1/32 of the picture."""
        maps, x = [], image
        for layer in self.enc_layers:
            x = layer(x)
            maps.append(x)
        return maps

    def decode(
        self, maps: Sequence[Float[Tensor, "b _ _ _"]], vector: Float[Tensor, "b attributes"]
    ) -> Float[Tensor, "b 3 _ _"]:
        """The picture of these maps with these attributes."""
        x = torch.cat([maps[-1], spread(vector, maps[-1])], 1)
        for i, layer in enumerate(self.dec_layers):
            x = layer(x)
            last = i == LAYERS - 1
            parts = [x]
            if i < self.shortcuts and not last:
                parts.append(maps[-2 - i])
            if i < self.injections and not last:
                parts.append(spread(vector, x))
            x = torch.cat(parts, 1) if len(parts) > 1 else x
        return x

    def forward(
        self, image: Float[Tensor, "b 3 h w"], vector: Float[Tensor, "b attributes"]
    ) -> Float[Tensor, "b 3 h w"]:
        """The pictures with these attributes."""
        return self.decode(self.encode(image), vector)


class AttGANDiscriminator(nn.Module):
    """Tells real from drawn, and which attributes there are.

    Args:
        attributes: how many.
        width: channels after the first convolution; each further one doubles them.
        size: side of the pictures in pixels, a multiple of 32.
        hidden: width of the linear layers.
    """

    def __init__(self, *, attributes: int = 13, width: int = 64, size: int = 128, hidden: int = 1024) -> None:
        super().__init__()
        widths = [width << i for i in range(LAYERS)]
        self.conv = nn.Sequential(
            *(
                _Layers(
                    nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False),
                    nn.InstanceNorm2d(outputs, affine=True),
                    nn.LeakyReLU(0.01),
                )
                for inputs, outputs in zip([3, *widths], widths, strict=False)
            )
        )
        flat = widths[-1] * (size >> LAYERS) ** 2
        self.fc_adv = nn.Sequential(_Layers(nn.Linear(flat, hidden), nn.ReLU()), _Layers(nn.Linear(hidden, 1)))
        self.fc_cls = nn.Sequential(_Layers(nn.Linear(flat, hidden), nn.ReLU()), _Layers(nn.Linear(hidden, attributes)))

    @classmethod
    def from_state_dict(cls, state: State) -> "AttGANDiscriminator":
        """The discriminator with these weights, its sizes read from them; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not AttGAN's.
        """
        state = unwrap(state)
        width = shape_of(state, "conv.0.layers.0.weight", cls.__name__)[0]
        hidden, flat = shape_of(state, "fc_adv.0.layers.0.weight", cls.__name__)
        attributes = shape_of(state, "fc_cls.1.layers.0.weight", cls.__name__)[0]
        side = round((flat / (width << (LAYERS - 1))) ** 0.5)
        with torch.device("meta"):
            network = cls(attributes=attributes, width=width, size=side << LAYERS, hidden=hidden)
        return fill(network, state)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 1"], Float[Tensor, "b attributes"]]:
        """How real each picture looks, higher for real, and the attributes' logits."""
        x = self.conv(image).flatten(1)
        return self.fc_adv(x), self.fc_cls(x)


def spread(vector: Float[Tensor, "b attributes"], like: Float[Tensor, "b c h w"]) -> Float[Tensor, "b attributes h w"]:
    """The vector at every place of a map."""
    return vector[:, :, None, None].expand(-1, -1, *like.shape[2:])


class _Layers(nn.Module):
    """Modules in a row; the published keys have their name."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
