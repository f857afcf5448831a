"""The toy models on which other projects' loops were recorded: see ../shared/fixtures/loops/README.md."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.data.formula import fill_


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Modulation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(16, 16)), nn.Parameter(torch.zeros(16))

    def forward(self, w: Tensor) -> Tensor:
        return 0.5 * (w @ self.weight.mT) / 4 + self.bias


class Layer(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(16, 16, 3, 3)), nn.Parameter(torch.zeros(16))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.zeros(size, size))
        self.modulation = Modulation()

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        x = F.conv2d(x * style[:, :, None, None], self.weight / 12, padding=1) + self.noise_strength * noise
        return math.sqrt(2) * F.leaky_relu(x + self.bias[:, None, None], 0.2)


class ToRGB(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(3, 16, 1, 1)), nn.Parameter(torch.zeros(3))
        self.modulation = Modulation()

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return F.conv2d(x * style[:, :, None, None], self.weight) + self.bias[:, None, None]


# Layer i uses row i of w, to_rgb.k row 2k + 1; the styles come in this order.
STYLES = ("l0", "r0", "l1", "l2", "r1", "l3", "l4", "r2", "l5", "l6", "r3")


class Generator(nn.Module):
    """A small StyleGAN2 whose styles and features at 8 px may be given, and whose features at 16 px can be seen."""

    resolution = 32
    latent_shape = (8, 16)
    noise_shapes = tuple((s, s) for s in (4, 8, 8, 16, 16, 32, 32))
    shows = ("features.16",)

    def __init__(self) -> None:
        super().__init__()
        self.const = nn.Parameter(torch.zeros(1, 16, 4, 4))
        self.layers = nn.ModuleList(Layer(size) for size, _ in self.noise_shapes)
        self.to_rgb = nn.ModuleList(ToRGB() for _ in range(4))

    @property
    def input_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {f"styles.{i}": (16,) for i in range(11)} | {"features.8": (16, 8, 8)}

    def constant_noises(self, batch: int) -> list[Tensor]:
        return [layer.noise_const.expand(batch, 1, -1, -1) for layer in self.layers]

    def inputs_of(self, latent: Tensor, noises: Sequence[Tensor], names: Sequence[str]) -> Mapping[str, Tensor]:
        own: dict[str, Tensor] = dict(enumerate(self.styles(latent)))  # type: ignore[arg-type]
        own = {f"styles.{i}": style for i, style in own.items()}
        own["features.8"] = self.draw(latent, noises, {})[1][8]
        return {name: own[name] for name in names}

    def styles(self, latent: Tensor) -> list[Tensor]:
        rows = [int(name[1]) if name[0] == "l" else 2 * int(name[1]) + 1 for name in STYLES]
        parts = [self.layers[int(n[1])] if n[0] == "l" else self.to_rgb[int(n[1])] for n in STYLES]
        return [part.modulation(latent[:, row]) for part, row in zip(parts, rows, strict=True)]

    def synthesize(
        self, latent: Tensor, noises: Sequence[Tensor], inputs: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        return self.draw(latent, noises, inputs or {})[0]

    def synthesize_showing(self, latent, noises, names, inputs=None):
        picture, features = self.draw(latent, noises, inputs or {})
        return picture, {name: features[int(name.partition(".")[2])] for name in names}

    def draw(self, latent: Tensor, noises: Sequence[Tensor], inputs: Mapping[str, Tensor]):
        own = self.styles(latent)
        style = {name: inputs.get(f"styles.{i}", own[i]) for i, name in enumerate(STYLES)}
        x, picture, features = self.const.expand(len(latent), -1, -1, -1), None, {}
        first = 3 if "features.8" in inputs else 0
        if first:
            x = inputs["features.8"]
        for i in range(first, 7):
            x = self.layers[i](doubled(x) if i % 2 else x, style[f"l{i}"], noises[i])
            if i % 2 == 0:
                k = i // 2
                features[x.shape[-1]] = x
                colours = self.to_rgb[k](x, style[f"r{k}"])
                picture = colours if picture is None else doubled(picture) + colours
        return picture, features


class Mapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))

    def forward(self, z: Tensor) -> Tensor:
        for layer in self.mapping:
            z = math.sqrt(2) * F.leaky_relu(z @ layer.weight.mT / 4 + layer.bias, 0.2)
        return z


class Features(nn.Module):
    """Two feature maps, each of unit length over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)

    def forward(self, picture: Tensor) -> list[Tensor]:
        first = self.a(picture).relu()
        return [f / (f.square().sum(1, keepdim=True) + 0.1).sqrt() for f in (first, self.b(first).relu())]


class Clip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Conv2d(3, 16, 32, 32)

    def forward(self, picture: Tensor) -> Tensor:
        return self.f(F.interpolate(picture, scale_factor=7, mode="nearest")).mean((2, 3))


class Face(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 8, 16, 16)

    def forward(self, picture: Tensor) -> Tensor:
        crop = F.adaptive_avg_pool2d(picture, 256)[:, :, 35:223, 32:220]
        return F.normalize(self.c(F.adaptive_avg_pool2d(crop, 112)).tanh().flatten(1), dim=1)


def generator() -> Generator:
    return fill_(Generator(), stylegan=True).eval().requires_grad_(False)


def network(kind: type[nn.Module]) -> nn.Module:
    return fill_(kind()).eval().requires_grad_(False)


def lpips(features: Features):
    """Squared distance of unit features, summed over channels, the mean over pixels, summed over layers."""

    def distance(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        total = x.new_zeros(len(x))
        for f, g in zip(features(x), features(y), strict=True):
            d = (f - g).square().sum(1, keepdim=True)
            m = torch.ones_like(d) if mask is None else F.interpolate(mask, size=d.shape[-2:], mode="nearest")
            total = total + (d * m).sum((1, 2, 3)) / m.sum((1, 2, 3))
        return total

    return distance
