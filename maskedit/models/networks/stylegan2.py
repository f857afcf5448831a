"""StyleGAN2 (Karras et al. 2020), written for optimisation over latents and noise maps.

The published network scales its convolution weights by a style, once per image. Scaling the input channels
before the convolution and the output channels after it gives the same numbers with one shared weight, so a
batch needs no copies of the weights and the frozen weights need no gradient:

    conv(x, W * style) * rsqrt(sum (W * style)^2) == conv(x * style, W) * rsqrt(style^2 @ sum W^2)

Weights are stored raw, drawn from N(0, 1), and scaled by 1 / sqrt(fan-in) as they are used (equalised
learning rates), so that the same class can be trained.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskedit.errors import InputError
from maskedit.models.networks import winograd
from maskedit.models.networks.fused import blur, colours, styled_conv
from maskedit.types import Image, Latent, NoiseMaps

SLOPE = 0.2
GAIN = math.sqrt(2)
EPSILON = 1e-8
CHECKPOINTED = 3
"""Resolutions recomputed when so asked: in config F at 1024 px, seven eighths of the features and half of the work."""


def config_f_channels(resolution: int, *, base: int = 32768, maximum: int = 512) -> tuple[int, ...]:
    """Feature channels at 4, 8, ..., ``resolution`` pixels in the published "config F": ``base / size``, capped."""
    return tuple(min(base >> level, maximum) for level in range(2, resolution.bit_length()))


def normal(*shape: int, deviation: float = 1.0) -> nn.Parameter:
    """A parameter of Gaussian numbers; on the meta device none are drawn, which would load torch's compiler."""
    weight = torch.empty(shape)
    return nn.Parameter(weight if weight.is_meta else weight.normal_(std=deviation))


class EqualLinear(nn.Module):
    """A linear layer with an equalised learning rate.

    Args:
        inputs: size of the input vectors.
        outputs: size of the output vectors.
        bias: initial value of every bias.
        rate: learning-rate multiplier; weights are stored divided by it.
    """

    def __init__(self, *, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.rate = rate
        self.scale = rate / math.sqrt(inputs)
        self.weight = normal(outputs, inputs, deviation=1 / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))

    def forward(self, x: Float[Tensor, "b inputs"]) -> Float[Tensor, "b outputs"]:
        return F.linear(x * self.scale, self.weight, self.bias * self.rate)


class Mapping(nn.Module):
    """Turns Gaussian codes z into latents w: ``depth`` linear layers with leaky rectifiers, on normalised codes."""

    def __init__(self, *, z_dim: int, latent_dim: int, depth: int, rate: float = 0.01) -> None:
        super().__init__()
        sizes = [z_dim] + [latent_dim] * depth
        self.layers = nn.ModuleList(EqualLinear(inputs=i, outputs=o, rate=rate) for i, o in pairwise(sizes))

    def forward(self, z: Float[Tensor, "b z_dim"]) -> Float[Tensor, "b dim"]:
        x = z * (z.square().mean(1, keepdim=True) + EPSILON).rsqrt()
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE) * GAIN
        return x


class StyledConv(nn.Module):
    """A 3x3 convolution steered by a style, with noise, bias and leaky rectifier; optionally doubles the size.

    Args:
        inputs: channels in.
        outputs: channels out.
        latent_dim: size of the latent vector that gives the style.
        up: double height and width: a transposed convolution, then the [1, 3, 3, 1] blur.
    """

    power: Tensor | None
    at_points: Tensor | None

    def __init__(self, *, inputs: int, outputs: int, latent_dim: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.scale = 1 / math.sqrt(9 * inputs)
        self.style = EqualLinear(inputs=latent_dim, outputs=inputs, bias=1.0)
        self.weight = normal(outputs, inputs, 3, 3)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("power", None, persistent=False)
        self.register_buffer("at_points", None, persistent=False)

    def freeze(self) -> None:
        """Keep the weights' power per channel pair, which only training changes, and their best layout."""
        self.power, self.at_points = self._power().detach(), None
        weight = self.weight.detach()
        # Channels last, those of the input for a transposed convolution; only strides change.
        weight = weight.transpose(0, 1) if self.up else weight
        weight = weight.contiguous(memory_format=torch.channels_last)
        self.weight.data = weight.transpose(0, 1) if self.up else weight

    def _power(self) -> Float[Tensor, "outputs inputs"]:
        return self.weight.square().sum((2, 3)) * self.scale**2

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.power is not None:
            self.freeze()

    def _at_points(self, x: Tensor) -> Tensor | None:
        """The frozen weights for :mod:`~maskedit.models.networks.winograd` where it pays, made when first needed:
        measured on CPUs, with many channels and enough tiles, in float32 only, as half precision loses too much."""
        reduced = torch.is_autocast_enabled(x.device.type) or x.dtype is not torch.float32
        if self.up or reduced or x.device.type != "cpu" or min(x.shape[2:]) < 64 or min(self.weight.shape[:2]) < 256:
            return None
        if self.at_points is None:
            self.at_points = winograd.at_points(self.weight)
        return self.at_points

    def factors(self, latent: Float[Tensor, "b dim"]) -> tuple[Float[Tensor, "b inputs"], Float[Tensor, "b outputs"]]:
        """What to multiply input and output channels by; the rectifier's gain is folded into the latter."""
        style = self.style(latent)
        power = self._power() if self.power is None or self.weight.requires_grad else self.power
        return style, (F.linear(style.square(), power) + EPSILON).rsqrt() * (self.scale * GAIN)

    def forward(
        self,
        x: Float[Tensor, "b inputs h w"],
        factors: tuple[Float[Tensor, "b inputs"], Float[Tensor, "b outputs"]],
        noise: Float[Tensor, "b 1 h2 w2"] | None,
        clamp: float | None,
        to_rgb: Float[Tensor, "b 3 outputs"] | None = None,
    ) -> tuple[Float[Tensor, "b outputs h2 w2"], Float[Tensor, "b 3 h2 w2"] | None]:
        """Features, and their colours where there are weights for them."""
        noise = None if noise is None else noise * (self.noise_strength * GAIN)
        bias, clamp = self.bias * GAIN, None if clamp is None else clamp * GAIN
        if self.power is not None and not self.weight.requires_grad:
            return styled_conv(
                x,
                *factors,
                noise,
                self.weight,
                bias,
                at_points=self._at_points(x),
                to_rgb=to_rgb,
                up=self.up,
                slope=SLOPE,
                clamp=clamp,
            )
        style, demodulation = (f[:, :, None, None] for f in factors)
        x = x * style.to(x.dtype)
        if self.up:
            x = blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = torch.addcmul(bias.to(x.dtype)[:, None, None], x, demodulation.to(x.dtype))
        if noise is not None:
            x.add_(noise.to(x.dtype))
        x = F.leaky_relu_(x, SLOPE)
        x = x if clamp is None else x.clamp_(-clamp, clamp)
        return x, None if to_rgb is None else colours(x, to_rgb)


class ToRGB(nn.Module):
    """A 1x1 convolution to RGB, steered by a style, without demodulation."""

    def __init__(self, *, inputs: int, latent_dim: int) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(inputs)
        self.style = EqualLinear(inputs=latent_dim, outputs=inputs, bias=1.0)
        self.weight = normal(3, inputs)
        self.bias = nn.Parameter(torch.zeros(3))

    def factors(self, latent: Float[Tensor, "b dim"]) -> Float[Tensor, "b 3 inputs"]:
        """The weights per image: three rows are so few that scaling them beats scaling the features."""
        return self.weight * (self.style(latent) * self.scale)[:, None, :]

    def forward(self, rgb: Float[Tensor, "b 3 h w"], clamp: float | None) -> Float[Tensor, "b 3 h w"]:
        """The colours that ``factors`` make of the features, with their bias."""
        rgb = rgb.to(self.bias.dtype) + self.bias[:, None, None]
        return rgb if clamp is None else rgb.clamp(-clamp, clamp)


def upsample(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Twice the size by the same filter: bilinear interpolation, but with zeros beyond the border."""
    return F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[:, :, 2:-2, 2:-2]


class StyleGAN2(nn.Module):
    """StyleGAN2's mapping and synthesis; a :class:`maskedit.protocols.Generator`.

    Args:
        resolution: side of the pictures in pixels, a power of two from 4 on.
        latent_dim: size of a latent vector w.
        channels: feature channels at 4, 8, ..., ``resolution`` pixels; the published config F if not given.
        mapping_layers: depth of the mapping network; 0 for none (z is w).
        z_dim: size of a Gaussian code z; ``latent_dim`` if not given.
        clamp: bound on the features' magnitude, as networks trained in half precision have (256); None for none.
        checkpointed: recompute the largest three resolutions' features in the backward pass instead of keeping
            them. Slower; how little it saves on a CPU is in docs/performance.md.

    Raises:
        InputError: if the sizes do not fit together.
    """

    convs: Sequence[StyledConv]
    to_rgbs: Sequence[ToRGB]
    latent_average: Tensor | None

    def __init__(
        self,
        *,
        resolution: int = 1024,
        latent_dim: int = 512,
        channels: Sequence[int] | None = None,
        mapping_layers: int = 8,
        z_dim: int | None = None,
        clamp: float | None = None,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        if resolution < 4 or resolution & (resolution - 1):
            raise InputError("StyleGAN2 has no such resolution", expected="a power of two >= 4", actual=str(resolution))
        channels = tuple(channels) if channels is not None else config_f_channels(resolution)
        levels = resolution.bit_length() - 2
        if len(channels) != levels:
            raise InputError(
                f"channels do not fit the resolution {resolution}",
                expected=f"{levels} numbers, for 4, 8, ..., {resolution} pixels",
                actual=f"{len(channels)}",
            )
        self.resolution, self.latent_dim, self.z_dim = resolution, latent_dim, z_dim or latent_dim
        self.channels, self.clamp, self.checkpointed = channels, clamp, checkpointed

        self.mapping = Mapping(z_dim=self.z_dim, latent_dim=latent_dim, depth=mapping_layers)
        self.constant = normal(1, channels[0], 4, 4)
        sizes = [(channels[0], channels[0], False)]
        for below, here in pairwise(channels):
            sizes += [(below, here, True), (here, here, False)]
        convs = (StyledConv(inputs=i, outputs=o, latent_dim=latent_dim, up=up) for i, o, up in sizes)
        self.convs = nn.ModuleList(convs)  # type: ignore[assignment]  # a sequence of them, all the same
        self.to_rgbs = nn.ModuleList(ToRGB(inputs=c, latent_dim=latent_dim) for c in channels)  # type: ignore[assignment]
        self.register_buffer("latent_average", None)
        for i in range(len(self.convs)):
            self.register_buffer(f"noise_{i}", None)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(layers, dim) of a W+ latent."""
        return len(self.convs) + 1, self.latent_dim

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each noise map: 4, 8, 8, 16, 16, ..."""
        return tuple((2 ** ((i + 1) // 2 + 2),) * 2 for i in range(len(self.convs)))

    def constant_noises(self, batch: int = 1) -> tuple[Float[Tensor, "b 1 _ _"], ...]:
        """The noise maps that came with the weights, for each image the same; empty if none came."""
        maps = [getattr(self, f"noise_{i}") for i in range(len(self.convs))]
        return () if any(noise is None for noise in maps) else tuple(noise.expand(batch, -1, -1, -1) for noise in maps)

    def freeze(self) -> "StyleGAN2":
        """Make every weight constant, and keep what then need not be computed each step. For use, not training."""
        self.eval().requires_grad_(False)
        for conv in self.convs:
            conv.freeze()
        return self

    def map(self, z: Float[Tensor, "b z_dim"], truncation: float = 1.0) -> Latent:
        """Latents for Gaussian codes, the same vector for every layer.

        Args:
            z: codes ``[b, z_dim]``; their length is normalised away.
            truncation: 1 for the latents as they are, down to 0 for the mean latent.
        """
        w = self.mapping(z)
        if truncation != 1.0:
            w = self.mean_latent()[0].lerp(w, truncation)
        return w[:, None].repeat(1, self.latent_shape[0], 1)

    @torch.no_grad()
    def mean_latent(self, samples: int = 50_000, seed: int = 0) -> Float[Tensor, "layers dim"]:
        """The mean latent: ``latent_average`` if the weights came with one, else the mean of mapped random codes.

        In evaluation mode a computed mean is kept as ``latent_average``, and saved with the weights.
        """
        average = self.latent_average
        if average is None:
            random = torch.Generator().manual_seed(seed)
            total = self.constant.new_zeros(self.latent_dim)
            for start in range(0, samples, 1000):
                z = torch.randn(min(1000, samples - start), self.z_dim, generator=random)
                total += self.mapping(z.to(total)).sum(0)
            average = total / samples
            if not self.training:
                self.latent_average = average
        return average.repeat(self.latent_shape[0], 1)

    def synthesize(self, latent: Latent, noises: NoiseMaps = ()) -> Image:
        """Pictures, nominally in [0, 1] and not clamped.

        Args:
            latent: ``[b, layers, dim]``.
            noises: a map ``[b, 1, h, w]`` for each of ``noise_shapes``; none at all for no noise.

        Raises:
            InputError: if a shape does not fit this generator.
        """
        self._check(latent, noises)
        with torch.autocast(latent.device.type, enabled=False):  # styles and demodulation stay in full precision
            conv_factors = [conv.factors(latent[:, i]) for i, conv in enumerate(self.convs)]
            rgb_factors = [to_rgb.factors(latent[:, 2 * i + 1]) for i, to_rgb in enumerate(self.to_rgbs)]

        def level(i: int, x: Tensor, rgb: Tensor) -> tuple[Tensor, Tensor]:
            for k in range(max(2 * i - 1, 0), 2 * i + 1):
                to_rgb = rgb_factors[i] if k == 2 * i else None  # colours are those of a level's last features
                x, colour = self.convs[k](x, conv_factors[k], noises[k] if noises else None, self.clamp, to_rgb)
            change = self.to_rgbs[i](colour, self.clamp)
            return x, change if i == 0 else upsample(rgb).add_(change)

        x = rgb = self.constant.expand(len(latent), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        largest = range(len(self.to_rgbs))[-CHECKPOINTED:] if self.checkpointed and torch.is_grad_enabled() else ()
        for i in range(len(self.to_rgbs)):
            if i in largest:
                x, rgb = checkpoint(level, i, x, rgb, use_reentrant=False)
            else:
                x, rgb = level(i, x, rgb)
        return rgb * 0.5 + 0.5

    def _check(self, latent: Tensor, noises: Sequence[Tensor]) -> None:
        layers, dim = self.latent_shape
        if latent.ndim != 3 or tuple(latent.shape[1:]) != (layers, dim):
            hint = f"Add the batch: latent[None] is [1, {layers}, {dim}]." if latent.shape == (layers, dim) else ""
            raise InputError(
                "the latent does not fit this generator",
                expected=f"[b, {layers}, {dim}]",
                actual=str(list(latent.shape)),
                hint=hint,
            )
        expected = [(len(latent), 1, *shape) for shape in self.noise_shapes]
        actual = [tuple(noise.shape) for noise in noises]
        if actual and actual != expected:
            raise InputError(
                "the noise maps do not fit this generator",
                expected=", ".join(str(list(shape)) for shape in expected),
                actual=", ".join(str(list(shape)) for shape in actual),
            )
