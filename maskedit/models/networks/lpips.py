"""LPIPS 0.1 (Zhang et al. 2018): how different two pictures look, learned from what people said of pictures.

Keys are those of the assembled module of richzhang/PerceptualSimilarity. Its trunk is torchvision's AlexNet or VGG16.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import CheckpointError, InputError
from maskedit.models.files.state_dict import State, fill, unwrap
from maskedit.models.networks.vgg import VGG16
from maskedit.types import Image, PerSample

Net = Literal["alex", "vgg"]
CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": tuple(stage[-1] for stage in VGG16)}
"""Channels of the five maps."""


class Scaling(nn.Module):
    """From [-1, 1] to what the trunks were trained on."""

    shift: Float[Tensor, "1 3 1 1"]
    scale: Float[Tensor, "1 3 1 1"]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        return (x - self.shift) / self.scale


class Trunk(nn.Module):
    """A network's layers in five slices, each of which ends in a map; layers keep their places in the whole network."""

    def __init__(self, slices: Sequence[Sequence[nn.Module]]) -> None:
        super().__init__()
        place = 0
        for k, layers in enumerate(slices, 1):
            named = nn.Sequential()
            for layer in layers:
                named.add_module(str(place), layer)
                place += 1
            self.add_module(f"slice{k}", named)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        maps = []
        for part in self.children():
            x = part(x)
            maps.append(x)
        return maps


class Linear(nn.Module):
    """How much each channel of a map counts."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        return self.model(x)


class LPIPS(nn.Module):
    """The learned distance of two pictures, inside a mask if one is given. A loss as it is, and a metric.

    Args:
        net: the trunk.
        normalize: what a masked distance is divided by: ``"image"``, all pixels, as MaskFaceGAN's released program
            does for its global edits; ``"mask"``, the pixels of the mask.

    Shape:
        first, second ``[b, 3, h, w]`` in [0, 1]; mask ``[b, 1, _, _]``; returns ``[b]``.

    Raises:
        InputError: if there is no such trunk or division.
    """

    def __init__(self, *, net: Net = "vgg", normalize: Literal["image", "mask"] = "image") -> None:
        super().__init__()
        for value, allowed in ((net, ("alex", "vgg")), (normalize, ("image", "mask"))):
            if value not in allowed:
                raise InputError("unknown choice", expected=" or ".join(map(repr, allowed)), actual=repr(value))
        self.name, self.normalize = net, normalize
        self.scaling_layer = Scaling()
        self.net = Trunk(_alex() if net == "alex" else _vgg())
        linear = [Linear(channels=channels) for channels in CHANNELS[net]]
        for k, layer in enumerate(linear):
            self.add_module(f"lin{k}", layer)
        self.lins = nn.ModuleList(linear)  # the same again, as in the published module

    @classmethod
    def from_state_dict(cls, state: State, *, normalize: Literal["image", "mask"] = "image") -> "LPIPS":
        """The network with these weights; frozen, in eval mode.

        Args:
            state: of the assembled module, or of trunk (torchvision's) and linear layers in one: ``{**trunk,
                **linear}``.
            normalize: as for the class.

        Raises:
            CheckpointError: if either is missing or does not fit.
        """
        state = unwrap(state)
        first = next((state[key] for key in ("net.slice1.0.weight", "features.0.weight") if key in state), None)
        if first is None or not any(key.startswith("lin") for key in state):
            raise CheckpointError(
                "this is no LPIPS",
                expected="a trunk ('features.0.weight') and linear layers ('lin0.model.1.weight') together",
                actual=f"{len(state)} keys, starting with {', '.join(map(repr, list(state)[:3])) or 'none'}",
                hint="Join them: {**trunk, **linear}.",
            )
        with torch.device("meta"):
            network = cls(net="alex" if first.shape[-1] == 11 else "vgg", normalize=normalize)
        network.scaling_layer = Scaling()
        return fill(network, network.scaling_layer.state_dict(prefix="scaling_layer.") | _assembled(state))

    def forward(self, first: Image, second: Image, mask: Float[Tensor, "b 1 _ _"] | None = None) -> PerSample:
        """The distance ``[b]``."""
        return self.per_layer(first, second, mask).sum(1)

    def per_layer(
        self, first: Image, second: Image, mask: Float[Tensor, "b 1 _ _"] | None = None
    ) -> Float[Tensor, "b 5"]:
        """What each of the five maps adds to the distance."""
        means = []
        for distance in self._distances(first, second):
            if mask is None:
                means.append(distance.mean((1, 2, 3)))
                continue
            inside = F.interpolate(mask.to(distance), distance.shape[-2:], mode="area")
            whole = inside.new_tensor(inside[0].numel())
            area = inside.sum((1, 2, 3)).clamp_min(1e-6) if self.normalize == "mask" else whole
            means.append((distance * inside).sum((1, 2, 3)) / area)
        return torch.stack(means, dim=1)

    def spatial(self, first: Image, second: Image) -> Float[Tensor, "b 1 h w"]:
        """Where pictures differ: the maps' distances, resized bilinearly, added up; its mean is not the distance."""
        return torch.stack(
            [
                F.interpolate(distance, first.shape[-2:], mode="bilinear", align_corners=False)
                for distance in self._distances(first, second)
            ]
        ).sum(0)

    def features(self, image: Image) -> list[Float[Tensor, "b _ _ _"]]:
        """The five maps of pictures in [0, 1], fine to coarse."""
        return self.net(self.scaling_layer(image * 2 - 1))

    def _distances(self, first: Image, second: Image) -> list[Float[Tensor, "b 1 _ _"]]:
        pairs = zip(self.features(first), self.features(second), self.lins, strict=True)
        return [linear((_unit(x) - _unit(y)).square()) for x, y, linear in pairs]

    def extra_repr(self) -> str:
        return f"net={self.name!r}, normalize={self.normalize!r}"


def _unit(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    # Where all channels are 0, sqrt has no gradient; that of vector_norm is 0 there.
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    padding = 2 if kernel == 11 else kernel // 2
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding), nn.ReLU()


def _alex() -> list[list[nn.Module]]:
    return [
        [*_conv(3, 64, 11, 4)],
        [nn.MaxPool2d(3, 2), *_conv(64, 192, 5)],
        [nn.MaxPool2d(3, 2), *_conv(192, 384)],
        [*_conv(384, 256)],
        [*_conv(256, 256)],
    ]


def _vgg() -> list[list[nn.Module]]:
    slices: list[list[nn.Module]] = []
    inputs = 3
    for stage in VGG16:
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if slices else []
        for channels in stage:
            layers += _conv(inputs, channels)
            inputs = channels
        slices.append(layers)
    return slices


def _assembled(state: State) -> dict[str, Tensor]:
    """Trunk and linear layers under the names of the assembled module."""
    starts = {"alex": (0, 2, 5, 8, 10), "vgg": (0, 4, 9, 16, 23)}
    alex = state.get("features.0.weight", torch.empty(0)).shape[-1:] == (11,)
    renamed = {}
    for key, value in state.items():
        match key.split("."):
            case ["features", place, leaf] if place.isdigit():
                part = sum(int(place) >= start for start in starts["alex" if alex else "vgg"])
                renamed[f"net.slice{part}.{place}.{leaf}"] = value
            case [("lin0" | "lin1" | "lin2" | "lin3" | "lin4") as name, *rest]:
                for own in (name, f"lins.{name[-1]}"):
                    renamed[".".join([own, *rest])] = value
            case ["classifier", *_]:
                pass  # the trunk's own use
            case _:
                renamed[key] = value
    return renamed
