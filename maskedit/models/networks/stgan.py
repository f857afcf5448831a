"""STGAN (Liu et al. 2019): selective transfer units between encoder and decoder, told what shall change.

Pictures are RGB in [-1, 1], in and out, of any size that is a multiple of 32. The vector is the **difference** of
wanted and present attributes, each (2 label - 1) / 2: 0 where nothing changes, -1 or 1 where it does. The authors'
program is in TensorFlow; :func:`from_tensorflow` names and turns its variables.
"""

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import CheckpointError
from maskedit.models.files.state_dict import State, fill, shape_of, unwrap
from maskedit.models.networks.attgan import spread

LAYERS = 5
UNITS = 4


class STGAN(nn.Module):
    """The generator: encoder, selective transfer units, decoder.

    Args:
        attributes: how many.
        width: channels after the encoder's first convolution; each further one doubles them.
        unit_width: channels of the shallowest unit; each deeper one doubles them. The program's 384 px model has
            width 48 and units of 64.
    """

    def __init__(self, *, attributes: int = 13, width: int = 64, unit_width: int = 64) -> None:
        super().__init__()
        self.attributes = attributes
        widths = [width << i for i in range(LAYERS)]
        units = [unit_width << i for i in reversed(range(UNITS))]
        self.encoder = nn.ModuleList(
            _Normed(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), _BatchNorm(outputs), nn.LeakyReLU(0.2))
            for inputs, outputs in zip([3, *widths], widths, strict=False)
        )
        self.stu = nn.ModuleList(
            TransferUnit(features=widths[-2 - j], state=state, outputs=outputs, attributes=attributes)
            for j, (state, outputs) in enumerate(zip([widths[-1], *units], units, strict=False))
        )
        self.decoder = nn.ModuleList()
        inputs = widths[-1] + attributes
        for outputs, unit in zip(reversed(widths[1:]), units, strict=True):
            self.decoder.append(
                _Normed(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), _BatchNorm(outputs), nn.ReLU())
            )
            inputs = outputs + unit + attributes
        self.decoder.append(_Normed(nn.ConvTranspose2d(inputs, 3, 4, 2, 1), None, nn.Tanh()))

    @classmethod
    def from_state_dict(cls, state: State) -> "STGAN":
        """The generator with these weights, its sizes read from them; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not STGAN's.
        """
        state = unwrap(state)
        width = shape_of(state, "encoder.0.conv.weight", cls.__name__)[0]
        inputs = shape_of(state, "decoder.0.conv.weight", cls.__name__)[0]
        unit_width = shape_of(state, f"stu.{UNITS - 1}.upsample.weight", cls.__name__)[1]
        with torch.device("meta"):
            network = cls(attributes=inputs - (width << (LAYERS - 1)), width=width, unit_width=unit_width)
        return fill(network, state)

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps at 1/2, 1/4, ... 1/32 of the picture."""
        maps, x = [], image
        for layer in self.encoder:
            x = layer(x)
            maps.append(x)
        return maps

    def forward(
        self, image: Float[Tensor, "b 3 h w"], difference: Float[Tensor, "b attributes"]
    ) -> Float[Tensor, "b 3 h w"]:
        """The pictures, changed by the difference."""
        maps = self.encode(image)
        x = state = maps[-1]
        x = torch.cat([x, spread(difference, x)], 1)
        for j, unit in enumerate(self.stu):
            x = self.decoder[j](x)
            chosen, state = unit(maps[-2 - j], state, difference)
            x = torch.cat([x, chosen, spread(difference, x)], 1)
        return self.decoder[-1](x)


class TransferUnit(nn.Module):
    """Chooses what of the encoder's features goes to the decoder, by the change and by what is deeper: a gated unit.

    Args:
        features: channels of the encoder's map.
        state: channels of the deeper state.
        outputs: channels of what is handed on.
        attributes: how many.
    """

    def __init__(self, *, features: int, state: int, outputs: int, attributes: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(state + attributes, outputs, 4, 2, 1)
        self.reset = nn.Conv2d(features + outputs, outputs, 3, 1, 1)
        self.update = nn.Conv2d(features + outputs, outputs, 3, 1, 1)
        self.candidate = nn.Conv2d(features + outputs, outputs, 3, 1, 1)

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: Float[Tensor, "b s h2 w2"],
        difference: Float[Tensor, "b attributes"],
    ) -> tuple[Float[Tensor, "b outputs h w"], Float[Tensor, "b outputs h w"]]:
        """What is handed to the decoder, and the state for the next, shallower unit."""
        deeper = self.upsample(torch.cat([state, spread(difference, state)], 1))
        both = torch.cat([features, deeper], 1)
        kept = self.reset(both).sigmoid() * deeper
        share = self.update(both).sigmoid()
        candidate = self.candidate(torch.cat([features, kept], 1)).tanh()
        return (1 - share) * deeper + share * candidate, kept


class STGANDiscriminator(nn.Module):
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
            *(_ConvNorm(inputs, outputs) for inputs, outputs in zip([3, *widths], widths, strict=False))
        )
        flat = widths[-1] * (size >> LAYERS) ** 2
        self.fc_adv = nn.ModuleList([nn.Linear(flat, hidden), nn.Linear(hidden, 1)])
        self.fc_att = nn.ModuleList([nn.Linear(flat, hidden), nn.Linear(hidden, attributes)])

    @classmethod
    def from_state_dict(cls, state: State) -> "STGANDiscriminator":
        """The discriminator with these weights, its sizes read from them; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not STGAN's.
        """
        state = unwrap(state)
        width = shape_of(state, "conv.0.weight", cls.__name__)[0]
        hidden, flat = shape_of(state, "fc_adv.0.weight", cls.__name__)
        attributes = shape_of(state, "fc_att.1.weight", cls.__name__)[0]
        side = round((flat / (width << (LAYERS - 1))) ** 0.5)
        with torch.device("meta"):
            network = cls(attributes=attributes, width=width, size=side << LAYERS, hidden=hidden)
        return fill(network, state)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 1"], Float[Tensor, "b attributes"]]:
        """How real each picture looks, higher for real, and the attributes' logits."""
        x = self.conv(image).flatten(1)
        found, named = (last(F.leaky_relu(first(x), 0.2)) for first, last in (self.fc_adv, self.fc_att))
        return found, named


def from_tensorflow(variables: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state dicts of generator and discriminator in the variables of the authors' TensorFlow checkpoints.

    Convolutions are turned to [outputs, inputs, h, w] (transposed ones to [inputs, outputs, h, w]), linear layers to
    [outputs, inputs]; the first linear layers see the map flattened by channel, row, column. The optimisers' slots and
    counters are left out.

    Args:
        variables: name -> tensor, such as ``Genc/Conv/weights``.

    Raises:
        CheckpointError: if there are none of these.
    """
    states: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
    for name, tensor in variables.items():
        found = re.fullmatch(
            r"(Genc|Gstu|Gdec|D)/(Conv2d_transpose|Conv|flatten_fully_connected)(?:_(\d+))?/(.+)", name
        )
        part = found and _PARTS.get(found[4].removeprefix("fully_connected/"))
        if not found or part is None:
            continue
        net, kind, number = found[1], found[2], int(found[3] or 0)
        prefix = {
            ("Genc", "Conv"): f"encoder.{number}.",
            ("Gdec", "Conv2d_transpose"): f"decoder.{number}.",
            ("Gstu", "Conv2d_transpose"): f"stu.{number}.upsample.",
            ("Gstu", "Conv"): f"stu.{number // 3}.{('reset', 'update', 'candidate')[number % 3]}.",
            ("D", "Conv"): f"conv.{number}.",
            ("D", "flatten_fully_connected"): f"{('fc_adv', 'fc_att')[number // 2 % 2]}.{number % 2}.",
        }.get((net, kind))
        if prefix is None:
            continue
        if net in ("Genc", "Gdec") and not part.startswith("norm."):
            part = "conv." + part
        if tensor.ndim == 4:
            tensor = tensor.permute(3, 2, 0, 1)
        elif tensor.ndim == 2:
            if number % 2 == 0:
                channels = variables[f"D/Conv_{LAYERS - 1}/weights"].shape[3]
                side = round((len(tensor) / channels) ** 0.5)
                tensor = tensor.reshape(side, side, channels, -1).permute(2, 0, 1, 3).flatten(0, 2)
            tensor = tensor.T
        states[net == "D"][prefix + part] = tensor.contiguous()
    if not states[0]:
        raise CheckpointError(
            "these are no variables of STGAN's program",
            expected="'Genc/Conv/weights' and others",
            actual=f"{len(variables)} others",
        )
    return states


_PARTS = {
    "weights": "weight",
    "biases": "bias",
    "BatchNorm/gamma": "norm.weight",
    "BatchNorm/beta": "norm.bias",
    "BatchNorm/moving_mean": "norm.running_mean",
    "BatchNorm/moving_variance": "norm.running_var",
    "InstanceNorm/gamma": "norm.weight",
    "InstanceNorm/beta": "norm.bias",
}


class _BatchNorm(nn.Module):
    """Batch normalisation with TensorFlow's epsilon, and without a counter of steps, which the files do not have."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum=0.1, eps=1e-3
        )


class _Normed(nn.Module):
    """A convolution, a norm or none, and what follows."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm, self.activation = conv, norm, activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.activation(x if self.norm is None else self.norm(x))


class _ConvNorm(nn.Conv2d):
    """A convolution of stride 2, which holds the norm that follows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=False)
        self.norm = nn.InstanceNorm2d(outputs, eps=1e-6, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(super().forward(x)), 0.2)
