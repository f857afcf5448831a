"""StyleGAN3 (Karras et al. 2021), configurations T and R, written for optimisation over latents.

Waves on a plane go through convolutions steered by one latent vector each. Each is followed by a rectifier between two
low-pass filters (:mod:`~maskedit.models.networks.filtered`), so that what is drawn moves with the waves and does not
stick to pixels. There are no noise maps. T convolves 3x3 pixels; R single ones, with filters that are alike in every
direction, so that pictures may also be turned. Keys are those of NVIDIA's files.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskedit.errors import InputError
from maskedit.models.networks.filtered import Resampling, filtered_leaky_relu
from maskedit.models.networks.lowpass import lowpass, radial_lowpass
from maskedit.models.networks.mapping import EPSILON, GAIN, SLOPE, EqualLinear, Mapping, check_latent, normal, truncated
from maskedit.models.networks.modulated import modulated_conv
from maskedit.models.networks.stylegan3_input import FourierInput
from maskedit.types import Image, Latent, NoiseMaps

TAPS = 6
"""Of a filter, for each pixel of the coarser of its two rates."""


@dataclass(frozen=True)
class Level:
    """What a layer's result can hold.

    Args:
        cutoff: the finest detail, in periods per picture.
        half_width: of the filter's transition from what passes to what does not.
        rate: pixels per picture.
        size: pixels along each side, with what lies beyond the picture's border.
    """

    cutoff: float
    half_width: float
    rate: int
    size: int


@dataclass(frozen=True)
class Geometry:
    """How detail grows through the layers, as the paper's section 3.2 has it.

    Args:
        resolution: side of the pictures in pixels, a power of two.
        layers: how many, without the last one that makes colours.
        critical: the last layers, which have no room between passing and stopping.
        first_cutoff: the first layer's ``Level.cutoff``.
        first_stopband: the detail from which on the first layer's filters stop everything.
        last_stopband: the same of the last, times half the resolution.
        margin: pixels beyond each border.
    """

    resolution: int = 1024
    layers: int = 14
    critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband: float = 2**0.3
    margin: int = 10

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise InputError(
                "StyleGAN3 has no such resolution", expected="a power of two >= 8", actual=str(self.resolution)
            )
        if not 0 <= self.critical < self.layers:
            raise InputError(
                "StyleGAN3 has no such layers",
                expected="fewer critical layers than layers",
                actual=f"{self.critical} of {self.layers}",
            )

    def level(self, i: int) -> Level:
        """Of layer ``i``, from 0 to ``layers``, the colours'."""
        part, nyquist = min(i / (self.layers - self.critical), 1.0), self.resolution / 2
        cutoff = self.first_cutoff * (nyquist / self.first_cutoff) ** part
        stopband = self.first_stopband * (nyquist * self.last_stopband / self.first_stopband) ** part
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, self.resolution)))
        size = self.resolution if i >= self.layers - 1 else rate + 2 * self.margin
        return Level(cutoff, max(stopband, rate / 2) - cutoff, rate, size)


def config_channels(geometry: Geometry, *, base: int = 32768, maximum: int = 512) -> tuple[int, ...]:
    """Channels of each layer but the colours': config T's; R's have twice the base and the maximum."""
    cutoffs = (geometry.level(i).cutoff for i in range(geometry.layers))
    return tuple(round(min(base / 2 / cutoff, maximum)) for cutoff in cutoffs)


class FilteredConv(nn.Module):
    """A convolution steered by a style, and a rectifier between two low-pass filters.

    Args:
        inputs: channels in.
        outputs: channels out.
        latent_dim: size of the latent vector that gives the style.
        kernel: side of the convolution's kernel.
        radial: filter alike in every direction after the rectifier.
        before: what comes in.
        after: what goes out.
        clamp: bound on the rectified values; None for none.
    """

    magnitude_ema: Tensor
    up_filter: Tensor
    down_filter: Tensor
    power: Tensor | None

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        latent_dim: int,
        kernel: int,
        radial: bool,
        before: Level,
        after: Level,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.affine = EqualLinear(inputs=latent_dim, outputs=inputs, bias=1.0)
        self.weight = normal(outputs, inputs, kernel, kernel)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("magnitude_ema", torch.ones(()))
        rate = max(before.rate, after.rate) * 2
        up, down = rate // before.rate, rate // after.rate
        design = radial_lowpass if radial else lowpass
        up_filter = lowpass(TAPS * up, cutoff=before.cutoff, width=2 * before.half_width, rate=rate)
        down_filter = design(TAPS * down, cutoff=after.cutoff, width=2 * after.half_width, rate=rate)
        self.register_buffer("up_filter", up_filter.to(self.bias.device))
        self.register_buffer("down_filter", down_filter.to(self.bias.device))
        self.register_buffer("power", None, persistent=False)
        # Zeros around the upsampled features, so that the filters leave what goes out.
        total = (after.size - 1) * down + 1 - (before.size + kernel - 1) * up + TAPS * (up + down) - 2
        self.resampling = Resampling(
            up=up, down=down, before=(total + up) // 2, size=after.size, slope=SLOPE, gain=GAIN, clamp=clamp
        )

    def freeze(self) -> None:
        """Keep the weights' power per channel pair, which only training changes, and their best layout."""
        self.power = self._power().detach()
        self.weight.data = self.weight.detach().contiguous(memory_format=torch.channels_last)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.power is not None:
            self.freeze()

    def _power(self) -> Float[Tensor, "outputs inputs"]:
        """Of weights whose mean square is 1 for each output."""
        return self.weight.square().sum((2, 3)) * self._scale().square()[:, None]

    def _scale(self) -> Float[Tensor, " outputs"]:
        return self.weight.square().mean((1, 2, 3)).rsqrt()

    def factors(self, latent: Float[Tensor, "b dim"]) -> tuple[Float[Tensor, "b inputs"], Float[Tensor, "b outputs"]]:
        """What to multiply input and output channels by."""
        style = self.affine(latent)
        # The published style is divided by its root mean square over the whole batch, which cancels but for EPSILON;
        # here over each image, so that no image depends on its neighbours.
        style = style * style.square().mean(1, keepdim=True).rsqrt()
        power = self._power() if self.power is None or self.weight.requires_grad else self.power
        demodulation = (F.linear(style.square(), power) + EPSILON).rsqrt()
        return style, demodulation * (self._scale() * self.magnitude_ema.rsqrt())

    def forward(
        self,
        x: Float[Tensor, "b inputs h w"],
        style: Float[Tensor, "b inputs"],
        demodulation: Float[Tensor, "b outputs"],
    ) -> Float[Tensor, "b outputs size size"]:
        """Features, from features and :meth:`factors`."""
        if self.power is not None and not self.weight.requires_grad:
            x = modulated_conv(x, style, demodulation, self.weight, self.bias)
        else:
            x = F.conv2d(x * style[:, :, None, None].to(x.dtype), self.weight, padding=self.weight.shape[-1] - 1)
            x = torch.addcmul(self.bias[:, None, None].to(x.dtype), x, demodulation[:, :, None, None].to(x.dtype))
        return filtered_leaky_relu(x, self.up_filter, self.down_filter, self.resampling)


class ToColours(nn.Module):
    """The last layer: a 1x1 convolution steered by a style, without demodulation."""

    magnitude_ema: Tensor

    def __init__(self, *, inputs: int, outputs: int, latent_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp, self.scale = clamp, 1 / math.sqrt(inputs)
        self.affine = EqualLinear(inputs=latent_dim, outputs=inputs, bias=1.0)
        self.weight = normal(outputs, inputs, 1, 1)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("magnitude_ema", torch.ones(()))

    def factors(self, latent: Float[Tensor, "b dim"]) -> Float[Tensor, "b colours inputs"]:
        """The weights for each image."""
        style = self.affine(latent) * (self.scale * self.magnitude_ema.rsqrt())
        return self.weight[:, :, 0, 0] * style[:, None]

    def forward(
        self, x: Float[Tensor, "b inputs h w"], weights: Float[Tensor, "b colours inputs"]
    ) -> Float[Tensor, "b colours h w"]:
        colours = (x.permute(0, 2, 3, 1) @ weights.mT[:, None].to(x.dtype)).permute(0, 3, 1, 2)
        colours = colours.to(self.bias.dtype) + self.bias[:, None, None]
        return colours if self.clamp is None else colours.clamp(-self.clamp, self.clamp)


class NamedMapping(Mapping):
    """The mapping under NVIDIA's names: ``fc0``, ``fc1``, ``w_avg``."""

    w_avg: Tensor

    def __init__(self, *, latent_dim: int, **sizes: Any) -> None:
        super().__init__(latent_dim=latent_dim, **sizes)
        self.register_buffer("w_avg", torch.zeros(latent_dim))

    def _add(self, layers: Iterable[EqualLinear]) -> None:
        for i, layer in enumerate(layers):
            self.add_module(f"fc{i}", layer)

    def _in_order(self) -> Iterable[nn.Module]:
        return [getattr(self, f"fc{i}") for i in range(self.depth)]


class Synthesis(nn.Module):
    """Waves, and the layers that they go through under NVIDIA's names: ``L0_36_512``, ..., ``L14_1024_3``."""

    def __init__(self, waves: FourierInput, layers: Sequence[FilteredConv], last: ToColours) -> None:
        super().__init__()
        self.input = waves
        for i, layer in enumerate(layers):
            self.add_module(f"L{i}_{layer.resampling.size}_{len(layer.bias)}", layer)
        self.add_module(f"L{len(layers)}_{layers[-1].resampling.size}_{len(last.bias)}", last)

    @property
    def layers(self) -> list[FilteredConv]:
        """All but the last."""
        return [layer for layer in self.children() if isinstance(layer, FilteredConv)]

    @property
    def to_colours(self) -> ToColours:
        """The last."""
        return next(layer for layer in self.children() if isinstance(layer, ToColours))


class StyleGAN3(nn.Module):
    """StyleGAN3's mapping and synthesis; a :class:`maskedit.protocols.Generator` without noise.

    Args:
        geometry: resolution, layers and how detail grows through them.
        latent_dim: size of a latent vector w.
        z_dim: size of a Gaussian code z; ``latent_dim`` if not given.
        classes: size of the label beside z; 0 for none.
        channels: of each layer but the last; config T's, or R's if ``radial``, if not given.
        colours: 3, or 1 for a network of grey pictures, which are given as RGB all the same.
        kernel: side of the convolutions' kernels: 3 in config T, 1 in R.
        radial: filters alike in every direction, but in the critical layers: config R.
        mapping_layers: depth of the mapping network.
        mapping_rate: its learning-rate multiplier.
        scale: factor from the last layer's values to pictures in [-1, 1].
        clamp: bound on the features' magnitude; None for none.
        checkpointed: compute each layer's convolution again in the backward pass instead of keeping its result: about
            half the memory, and the time of another forward pass.

    Raises:
        InputError: if the sizes do not fit together.
    """

    def __init__(
        self,
        *,
        geometry: Geometry | None = None,
        latent_dim: int = 512,
        z_dim: int | None = None,
        classes: int = 0,
        channels: Sequence[int] | None = None,
        colours: int = 3,
        kernel: int = 3,
        radial: bool = False,
        mapping_layers: int = 2,
        mapping_rate: float = 0.01,
        scale: float = 0.25,
        clamp: float | None = 256.0,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        geometry = geometry or Geometry()
        if channels is None:
            channels = config_channels(geometry, base=32768 << radial, maximum=512 << radial)
        if len(channels) != geometry.layers or colours not in (1, 3):
            raise InputError(
                "channels do not fit the layers",
                expected=f"{geometry.layers} numbers, and 3 colours or 1",
                actual=f"{len(channels)} numbers, and {colours}",
            )
        self.geometry, self.channels, self.colours = geometry, tuple(channels), colours
        self.kernel, self.radial, self.clamp, self.scale = kernel, radial, clamp, scale
        self.latent_dim, self.z_dim, self.checkpointed = (
            latent_dim,
            latent_dim if z_dim is None else z_dim,
            checkpointed,
        )
        self.mapping = NamedMapping(
            z_dim=self.z_dim, latent_dim=latent_dim, depth=mapping_layers, rate=mapping_rate, classes=classes
        )
        levels = [geometry.level(i) for i in range(geometry.layers + 1)]
        waves = FourierInput(
            latent_dim=latent_dim,
            channels=channels[0],
            size=levels[0].size,
            rate=levels[0].rate,
            cutoff=levels[0].cutoff,
        )
        layers = [
            FilteredConv(
                inputs=channels[max(i - 1, 0)],
                outputs=outputs,
                latent_dim=latent_dim,
                kernel=kernel,
                radial=radial and i < geometry.layers - geometry.critical,
                before=levels[max(i - 1, 0)],
                after=levels[i],
                clamp=clamp,
            )
            for i, outputs in enumerate(channels)
        ]
        last = ToColours(inputs=channels[-1], outputs=colours, latent_dim=latent_dim, clamp=clamp)
        self.synthesis = Synthesis(waves, layers, last)

    @property
    def resolution(self) -> int:
        """Side of the pictures, in pixels."""
        return self.geometry.resolution

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(layers, dim) of a W+ latent: a vector for the waves, one for each layer, one for the colours."""
        return self.geometry.layers + 2, self.latent_dim

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """None: there are no noise maps."""
        return ()

    def freeze(self) -> "StyleGAN3":
        """Make every weight constant, and keep what then need not be computed each step. For use, not training."""
        self.eval().requires_grad_(False)
        for layer in self.synthesis.layers:
            layer.freeze()
        return self

    def map(
        self,
        z: Float[Tensor, "b z_dim"] | None,
        truncation: float = 1.0,
        *,
        label: Float[Tensor, "b classes"] | None = None,
        cutoff: int | None = None,
    ) -> Latent:
        """Latents for Gaussian codes, the same vector for every layer.

        Args:
            z: codes ``[b, z_dim]``; their length is normalised away.
            truncation: 1 for the latents as they are, down to 0 for the mean latent.
            label: how much of each class, for generators that have classes.
            cutoff: how many layers are truncated; None for all.
        """
        return truncated(self.mapping(z, label), self.mapping.w_avg, self.latent_shape[0], truncation, cutoff)

    def mean_latent(self) -> Float[Tensor, "layers dim"]:
        """The mean latent, which comes with the weights."""
        return self.mapping.w_avg.repeat(self.latent_shape[0], 1)

    def transformed(self, transform: Float[Tensor, "3 3"]) -> "StyleGAN3":
        """This generator, drawing everything turned and shifted; the weights are shared.

        Args:
            transform: e.g. ``moved(angle=0.1)``.
        """
        other, synthesis, waves = copy.copy(self), copy.copy(self.synthesis), copy.copy(self.synthesis.input)
        waves._buffers = {**waves._buffers, "transform": transform.to(waves.transform)}
        synthesis._modules = {**synthesis._modules, "input": waves}
        other._modules = {**other._modules, "synthesis": synthesis}
        return other

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """What may be given by name: the ``transform`` ``[b, 3, 3]``; :class:`maskedit.protocols.TakesInputs`."""
        return {"transform": (3, 3)}

    def inputs_of(self, latent: Latent, noises: NoiseMaps, names: Sequence[str]) -> dict[str, Tensor]:
        """Its own transform, for each latent."""
        return {name: self.synthesis.input.transform.expand(len(latent), 3, 3) for name in names}

    def synthesize(
        self,
        latent: Latent,
        noises: NoiseMaps = (),
        inputs: Map[str, Tensor] | None = None,
        *,
        transform: Float[Tensor, "... 3 3"] | None = None,
    ) -> Image:
        """Pictures, nominally in [0, 1] and not clamped.

        Args:
            latent: ``[b, layers, dim]``.
            noises: none.
            inputs: ``transform``, by that name.
            transform: turns and shifts the pictures, one for all or one for each, e.g. from
                :func:`~maskedit.models.networks.stylegan3_input.moved`; differentiable.

        Raises:
            InputError: if a shape does not fit this generator.
        """
        check_latent(latent, self.latent_shape)
        if noises:
            raise InputError("StyleGAN3 takes no noise maps", expected="none", actual=str(len(noises)))
        if unknown := set(inputs or {}) - {"transform"}:
            raise InputError(f"StyleGAN3 takes no input {min(unknown)!r}", expected="'transform'")
        transform = (inputs or {}).get("transform", transform)
        first, *rows, last = latent.unbind(1)
        layers, to_colours = self.synthesis.layers, self.synthesis.to_colours
        with torch.autocast(latent.device.type, enabled=False):  # styles and demodulation stay in full precision
            x = self.synthesis.input(first, transform)
            factors = [layer.factors(row) for layer, row in zip(layers, rows, strict=True)]
            weights = to_colours.factors(last)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        with torch.autocast(latent.device.type, enabled=False):
            for layer, (style, demodulation) in zip(layers, factors, strict=True):
                if self.checkpointed and torch.is_grad_enabled():
                    x = checkpoint(layer, x, style, demodulation, use_reentrant=False)
                else:
                    x = layer(x, style, demodulation)
            picture = to_colours(x, weights) * (self.scale / 2) + 0.5
        return picture.expand(-1, 3, -1, -1)
