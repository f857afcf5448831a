"""StyleGAN2 (Karras et al. 2020), written for optimisation over latents and noise maps.

The published network scales its convolution weights by a style, once per image. Scaling the input channels
before the convolution and the output channels after it gives the same numbers with one shared weight, so a
batch needs no copies of the weights and the frozen weights need no gradient:

    conv(x, W * style) * rsqrt(sum (W * style)^2) == conv(x * style, W) * rsqrt(style^2 @ sum W^2)

Weights are stored raw, drawn from N(0, 1), and scaled by 1 / sqrt(fan-in) as they are used (equalised
learning rates), so that the same class can be trained.
"""

import math
from collections.abc import Mapping as Map
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
from maskedit.models.networks.fused import colours, styled_conv
from maskedit.models.networks.mapping import EPSILON, GAIN, SLOPE, EqualLinear, Mapping, check_latent, normal, truncated
from maskedit.models.networks.resampling import DEFAULT_TAPS, blur, upsample
from maskedit.types import Image, Latent, NoiseMaps

ARCHITECTURES = ("skip", "resnet", "orig")
CHECKPOINTED = 3
"""Resolutions recomputed when so asked: in config F at 1024 px, seven eighths of the features and half of the work."""


def config_f_channels(resolution: int, *, base: int = 32768, maximum: int = 512) -> tuple[int, ...]:
    """Feature channels at 4, 8, ..., ``resolution`` pixels in the published "config F": ``base / size``, capped."""
    return tuple(min(base >> level, maximum) for level in range(2, resolution.bit_length()))


class StyledConv(nn.Module):
    """A 3x3 convolution steered by a style, with noise, bias and leaky rectifier; optionally doubles the size.

    Args:
        inputs: channels in.
        outputs: channels out.
        latent_dim: size of the latent vector that gives the style.
        up: double height and width: a transposed convolution, then a blur.
        taps: of the blur.
        gain: of the rectifier; over sqrt(2), also of the clamp.
        noisy: with noise.
    """

    power: Tensor | None
    at_points: Tensor | None

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        latent_dim: int,
        up: bool,
        taps: Sequence[float] = DEFAULT_TAPS,
        gain: float = GAIN,
        noisy: bool = True,
    ) -> None:
        super().__init__()
        self.up, self.taps, self.gain = up, tuple(taps), gain
        self.scale = 1 / math.sqrt(9 * inputs)
        self.style = EqualLinear(inputs=latent_dim, outputs=inputs, bias=1.0)
        self.weight = normal(outputs, inputs, 3, 3)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noisy else None
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

    def factors(self, style: Float[Tensor, "b inputs"]) -> tuple[Float[Tensor, "b inputs"], Float[Tensor, "b outputs"]]:
        """What to multiply input and output channels by; the rectifier's gain is folded into the latter."""
        power = self._power() if self.power is None or self.weight.requires_grad else self.power
        return style, (F.linear(style.square(), power) + EPSILON).rsqrt() * (self.scale * self.gain)

    def forward(
        self,
        x: Float[Tensor, "b inputs h w"],
        factors: tuple[Float[Tensor, "b inputs"], Float[Tensor, "b outputs"]],
        noise: Float[Tensor, "b 1 h2 w2"] | None,
        clamp: float | None,
        to_rgb: Float[Tensor, "b colours outputs"] | None = None,
    ) -> tuple[Float[Tensor, "b outputs h2 w2"], Float[Tensor, "b colours h2 w2"] | None]:
        """Features, and their colours where there are weights for them."""
        noise = None if noise is None or self.noise_strength is None else noise * (self.noise_strength * self.gain)
        bias, clamp = self.bias * self.gain, None if clamp is None else clamp * self.gain / GAIN
        fusible = not self.up or self.taps == DEFAULT_TAPS
        if fusible and self.power is not None and not self.weight.requires_grad:
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
            x = blur(F.conv_transpose2d(x, self.weight.to(x.dtype).transpose(0, 1), stride=2), self.taps)
        else:
            x = F.conv2d(x, self.weight.to(x.dtype), padding=1)
        x = torch.addcmul(bias.to(x.dtype)[:, None, None], x, demodulation.to(x.dtype))
        if noise is not None:
            x.add_(noise.to(x.dtype))
        x = F.leaky_relu_(x, SLOPE)
        x = x if clamp is None else x.clamp_(-clamp, clamp)
        return x, None if to_rgb is None else colours(x, to_rgb)


class ToRGB(nn.Module):
    """A 1x1 convolution to RGB or grey, steered by a style, without demodulation."""

    def __init__(self, *, inputs: int, latent_dim: int, colours: int = 3) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(inputs)
        self.style = EqualLinear(inputs=latent_dim, outputs=inputs, bias=1.0)
        self.weight = normal(colours, inputs)
        self.bias = nn.Parameter(torch.zeros(colours))

    def factors(self, style: Float[Tensor, "b inputs"]) -> Float[Tensor, "b colours inputs"]:
        """The weights per image: three rows are so few that scaling them beats scaling the features."""
        return self.weight * (style * self.scale)[:, None, :]

    def forward(self, rgb: Float[Tensor, "b colours h w"], clamp: float | None) -> Float[Tensor, "b colours h w"]:
        """The colours that ``factors`` make of the features, with their bias."""
        rgb = rgb.to(self.bias.dtype) + self.bias[:, None, None]
        return rgb if clamp is None else rgb.clamp(-clamp, clamp)


class Skip(nn.Module):
    """A 1x1 convolution without bias that doubles the size: what a residual block adds its features to."""

    def __init__(self, *, inputs: int, outputs: int, taps: Sequence[float]) -> None:
        super().__init__()
        self.taps, self.scale = taps, 1 / math.sqrt(2 * inputs)
        self.weight = normal(outputs, inputs)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h2 w2"]:
        """Channels last; divided by sqrt(2), as the features are that it is added to."""
        x = (x.permute(0, 2, 3, 1) @ (self.weight.mT * self.scale).to(x.dtype)).permute(0, 3, 1, 2)
        return upsample(x, self.taps)


class StyleGAN2(nn.Module):
    """StyleGAN2's mapping and synthesis; a :class:`maskedit.protocols.Generator`.

    Args:
        resolution: side of the pictures in pixels, a power of two from 4 on.
        latent_dim: size of a latent vector w.
        channels: feature channels at 4, 8, ..., ``resolution`` pixels; the published config F if not given.
        mapping_layers: depth of the mapping network; 0 for none (z is w).
        mapping_rate: its learning-rate multiplier.
        mapping_width: size of the vectors between its layers; ``latent_dim`` if not given.
        z_dim: size of a Gaussian code z; ``latent_dim`` if not given, 0 for none (labels alone).
        classes: size of the label that the mapping sees beside z; 0 for none.
        embedding: size of what the mapping turns the label into; ``latent_dim`` if not given.
        architecture: how pictures arise: "skip" adds up those of all resolutions, "resnet" draws the last of residual
            blocks, "orig" the last of plain ones.
        colours: 3, or 1 for a network of grey pictures, which are given as RGB all the same.
        taps: of the filter that doubles features and pictures.
        noisy: with noise maps.
        clamp: bound on the features' magnitude, as networks trained in half precision have (256); None for none.
        checkpointed: recompute the largest three resolutions' features in the backward pass instead of keeping
            them. Slower; how little it saves on a CPU is in docs/performance.md.

    Raises:
        InputError: if the sizes do not fit together.
    """

    convs: Sequence[StyledConv]
    to_rgbs: Sequence[ToRGB]
    skips: Sequence[Skip]
    latent_average: Tensor | None

    def __init__(
        self,
        *,
        resolution: int = 1024,
        latent_dim: int = 512,
        channels: Sequence[int] | None = None,
        mapping_layers: int = 8,
        mapping_rate: float = 0.01,
        mapping_width: int | None = None,
        z_dim: int | None = None,
        classes: int = 0,
        embedding: int | None = None,
        architecture: str = "skip",
        colours: int = 3,
        taps: Sequence[float] = DEFAULT_TAPS,
        noisy: bool = True,
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
        if architecture not in ARCHITECTURES or colours not in (1, 3):
            raise InputError(
                "no such StyleGAN2 is built here",
                expected=f"{', '.join(ARCHITECTURES)}, and 3 colours or 1",
                actual=f"{architecture!r}, and {colours}",
            )
        self.resolution, self.latent_dim, self.channels = resolution, latent_dim, channels
        self.z_dim = latent_dim if z_dim is None else z_dim
        self.architecture, self.colours, self.taps, self.noisy = architecture, colours, tuple(taps), noisy
        self.clamp, self.checkpointed = clamp, checkpointed

        self.mapping = Mapping(
            z_dim=self.z_dim,
            latent_dim=latent_dim,
            depth=mapping_layers,
            rate=mapping_rate,
            width=mapping_width,
            classes=classes,
            embedding=embedding,
        )
        self.constant = normal(1, channels[0], 4, 4)
        residual = architecture == "resnet"
        sizes = [(channels[0], channels[0], False, GAIN)]
        for below, here in pairwise(channels):
            sizes += [(below, here, True, GAIN), (here, here, False, 1.0 if residual else GAIN)]
        common: dict[str, Any] = {"latent_dim": latent_dim, "taps": self.taps, "noisy": noisy}
        convs = (StyledConv(inputs=i, outputs=o, up=up, gain=gain, **common) for i, o, up, gain in sizes)
        self.convs = nn.ModuleList(convs)  # type: ignore[assignment]  # a sequence of them, all the same
        drawn = channels if architecture == "skip" else channels[-1:]
        self.to_rgbs = nn.ModuleList(ToRGB(inputs=c, latent_dim=latent_dim, colours=colours) for c in drawn)  # type: ignore[assignment]
        skips = pairwise(channels) if residual else ()
        self.skips = nn.ModuleList(Skip(inputs=i, outputs=o, taps=self.taps) for i, o in skips)  # type: ignore[assignment]
        self.register_buffer("latent_average", None)
        for i in range(len(self.noise_shapes)):
            self.register_buffer(f"noise_{i}", None)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(layers, dim) of a W+ latent."""
        return len(self.convs) + 1, self.latent_dim

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each noise map: 4, 8, 8, 16, 16, ..."""
        if not self.noisy:
            return ()
        return tuple((2 ** ((i + 1) // 2 + 2),) * 2 for i in range(len(self.convs)))

    def constant_noises(self, batch: int = 1) -> tuple[Float[Tensor, "b 1 _ _"], ...]:
        """The noise maps that came with the weights, for each image the same; empty if none came."""
        maps = [getattr(self, f"noise_{i}") for i in range(len(self.noise_shapes))]
        return () if any(noise is None for noise in maps) else tuple(noise.expand(batch, -1, -1, -1) for noise in maps)

    def freeze(self) -> "StyleGAN2":
        """Make every weight constant, and keep what then need not be computed each step. For use, not training."""
        self.eval().requires_grad_(False)
        for conv in self.convs:
            conv.freeze()
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
            z: codes ``[b, z_dim]``; their length is normalised away. None for a generator without.
            truncation: 1 for the latents as they are, down to 0 for the mean latent.
            label: how much of each class, for generators that have classes.
            cutoff: how many layers are truncated; None for all.
        """
        w = self.mapping(z, label)
        average = None if truncation == 1.0 else self.mean_latent()[0]
        return truncated(w, average, self.latent_shape[0], truncation, cutoff)

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
                label = None
                if self.mapping.classes:  # all of them alike
                    classes = torch.randint(self.mapping.classes, (len(z),), generator=random)
                    label = nn.functional.one_hot(classes, self.mapping.classes).to(total)
                total += self.mapping(z.to(total), label).sum(0)
            average = total / samples
            if not self.training:
                self.latent_average = average
        return average.repeat(self.latent_shape[0], 1)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """What may be given in place of the generator's own, by name: :class:`maskedit.protocols.TakesInputs`.

        ``styles.0``, ``styles.1``, ... are the styles in the order in which they are used (StyleSpace): of each size
        its convolutions', then its colours'. ``features.8``, ``features.16``, ... are the features after a size's
        convolutions (F space); what comes before them, its colours too, is left out.
        """
        parts = self._steered_parts()
        shapes: dict[str, tuple[int, ...]] = {f"styles.{i}": (p.weight.shape[1],) for i, (p, _) in enumerate(parts)}
        return shapes | {f"features.{4 << i}": (c, 4 << i, 4 << i) for i, c in enumerate(self.channels[:-1])}

    @property
    def shows(self) -> tuple[str, ...]:
        """What terms may look at beside the picture, by name: the features of each size."""
        return tuple(f"features.{4 << i}" for i in range(len(self.channels)))

    @torch.no_grad()
    def inputs_of(self, latent: Latent, noises: NoiseMaps, names: Sequence[str]) -> dict[str, Tensor]:
        """What it takes by itself for these latents, by name."""
        own = {f"styles.{i}": style for i, style in enumerate(self._styles(latent, {}))}
        features = [name for name in names if name.startswith("features.")]
        if features:
            own |= self.synthesize_showing(latent, noises, features)[1]
        return {name: own[name] for name in names}

    def synthesize(self, latent: Latent, noises: NoiseMaps = (), inputs: Map[str, Tensor] | None = None) -> Image:
        """Pictures, nominally in [0, 1] and not clamped.

        Args:
            latent: ``[b, layers, dim]``.
            noises: a map ``[b, 1, h, w]`` for each of ``noise_shapes``; none at all for no noise.
            inputs: ``[b, *shape]`` for some of ``input_shapes``, in place of its own.

        Raises:
            InputError: if a shape does not fit this generator.
        """
        return self.synthesize_showing(latent, noises, (), inputs)[0]

    def synthesize_showing(
        self,
        latent: Latent,
        noises: NoiseMaps = (),
        names: Sequence[str] = (),
        inputs: Map[str, Tensor] | None = None,
    ) -> tuple[Image, dict[str, Tensor]]:
        """Pictures as of :meth:`synthesize`, and some of what it ``shows``, by name."""
        inputs = inputs or {}
        self._check(latent, noises, inputs)
        first_drawn = len(self.channels) - len(self.to_rgbs)
        with torch.autocast(latent.device.type, enabled=False):  # styles and demodulation stay in full precision
            convs, rgbs = self._steered()
            styles = self._styles(latent, inputs)
            conv_factors = [conv.factors(styles[i]) for conv, i in zip(self.convs, convs, strict=True)]
            rgb_factors = [to_rgb.factors(styles[i]) for to_rgb, i in zip(self.to_rgbs, rgbs, strict=True)]

        def level(i: int, x: Tensor, rgb: Tensor | None) -> tuple[Tensor, Tensor | None]:
            drawn, skipped = i - first_drawn, self.skips[i - 1](x) if self.skips and i > 0 else None
            colour = None
            for k in range(max(2 * i - 1, 0), 2 * i + 1):
                # Colours are those of a level's last features.
                to_rgb = rgb_factors[drawn] if k == 2 * i and drawn >= 0 and skipped is None else None
                x, colour = self.convs[k](x, conv_factors[k], noises[k] if noises else None, self.clamp, to_rgb)
            if skipped is not None:
                x = skipped.add_(x)
                colour = colours(x, rgb_factors[drawn]) if drawn >= 0 else None
            if colour is None:
                return x, rgb
            change = self.to_rgbs[drawn](colour, self.clamp)
            return x, change if rgb is None else upsample(rgb, self.taps).add_(change)

        x: Tensor = self.constant.expand(len(latent), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        rgb: Tensor | None = None
        largest = range(len(self.channels))[-CHECKPOINTED:] if self.checkpointed and torch.is_grad_enabled() else ()
        given = [i for i in range(len(self.channels)) if f"features.{4 << i}" in inputs]
        if given:  # the last of them makes the others idle
            x = inputs[f"features.{4 << given[-1]}"].contiguous(memory_format=torch.channels_last)
        shown = {f"features.{4 << given[-1]}": x} if given else {}
        for i in range(given[-1] + 1 if given else 0, len(self.channels)):
            if i in largest:
                x, rgb = checkpoint(level, i, x, rgb, use_reentrant=False)
            else:
                x, rgb = level(i, x, rgb)
            if f"features.{4 << i}" in names:
                shown[f"features.{4 << i}"] = x
        assert rgb is not None  # the last level draws
        return (rgb * 0.5 + 0.5).expand(-1, 3, -1, -1), {name: shown[name] for name in names}

    def _steered(self) -> tuple[list[int], list[int]]:
        """The numbers of the convolutions' styles, and of the colours'."""
        first_drawn, count = len(self.channels) - len(self.to_rgbs), 0
        convs: list[int] = []
        rgbs: list[int] = []
        for i in range(len(self.channels)):
            own = 1 if i == 0 else 2
            convs += range(count, count + own)
            count += own
            if i >= first_drawn:
                rgbs.append(count)
                count += 1
        return convs, rgbs

    def _steered_parts(self) -> list[tuple[StyledConv | ToRGB, int]]:
        """What the styles steer, in their order, and the row of W+ that each is made of."""
        first_drawn = len(self.channels) - len(self.to_rgbs)
        rows = [*range(len(self.convs)), *(2 * i + 1 for i in range(first_drawn, len(self.channels)))]
        convs, rgbs = self._steered()
        parts: list[StyledConv | ToRGB] = [*self.convs, *self.to_rgbs]
        places = zip((*convs, *rgbs), parts, rows, strict=True)
        return [(part, row) for _, part, row in sorted(places, key=lambda place: place[0])]

    def _styles(self, latent: Tensor, inputs: Map[str, Tensor]) -> list[Tensor]:
        """The style of each layer, in order: given, or of its row of the latent."""
        return [
            inputs[f"styles.{i}"] if f"styles.{i}" in inputs else part.style(latent[:, row])
            for i, (part, row) in enumerate(self._steered_parts())
        ]

    def _check(self, latent: Tensor, noises: Sequence[Tensor], inputs: Map[str, Tensor]) -> None:
        check_latent(latent, self.latent_shape)
        known = self.input_shapes if inputs else {}
        for name, value in inputs.items():
            if name not in known or tuple(value.shape) != (len(latent), *known[name]):
                raise InputError(
                    f"the input {name!r} does not fit this generator",
                    expected=str([len(latent), *known[name]]) if name in known else "a name in its input_shapes",
                    actual=str(list(value.shape)),
                )
        expected = [(len(latent), 1, *shape) for shape in self.noise_shapes]
        actual = [tuple(noise.shape) for noise in noises]
        if actual and actual != expected:
            raise InputError(
                "the noise maps do not fit this generator",
                expected=", ".join(str(list(shape)) for shape in expected) or "none",
                actual=", ".join(str(list(shape)) for shape in actual),
            )
