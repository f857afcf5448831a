"""A frozen styled convolution with its gradients written by hand: fewer passes over the pictures, less kept.

Autograd keeps the picture before the convolution twice (with and without the style) and once after it. Here only what
goes in and what comes out is kept, and both are kept by the neighbours anyway: a leaky rectifier keeps the sign, so
that the value before it is known from the value after, and what demodulation needs, the sum of gradient times value,
is the same on both sides of the rectifier.

A layer is computed strip by strip, forward and backward, each so small that what is between its passes stays in the
processor's cache and hardly counts in memory. Colours are read off a layer in the same strips: the gradient that they
send back, as large as the features, is never whole.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.models.networks import winograd

BLOCK = 1 << 21
"""Numbers in a strip of the result."""

_TAPS = (0.25, 0.75, 0.75, 0.25)


def styled_conv(
    x: Float[Tensor, "b inputs h w"],
    style: Float[Tensor, "b inputs"],
    demodulation: Float[Tensor, "b outputs"],
    noise: Float[Tensor, "b 1 h2 w2"] | None,
    weight: Float[Tensor, "outputs inputs 3 3"],
    bias: Float[Tensor, " outputs"],
    *,
    at_points: Float[Tensor, "36 inputs outputs"] | None = None,
    to_rgb: Float[Tensor, "b colours outputs"] | None = None,
    up: bool,
    slope: float,
    clamp: float | None,
) -> tuple[Float[Tensor, "b outputs h2 w2"], Float[Tensor, "b colours h2 w2"] | None]:
    """``clamp(leaky_relu(conv(x * style) * demodulation + noise + bias))``, and its colours; differentiable once.

    Args:
        x: features.
        style: factors of the input channels.
        demodulation: factors of the output channels, none of them zero.
        noise: added to every channel; None for none.
        weight: of the convolution; no gradient.
        bias: of the output channels; no gradient.
        at_points: ``winograd.at_points(weight)``, to use in place of it.
        to_rgb: weights for each image that make colours of the result; None for no colours.
        up: a transposed convolution of stride 2 and the [1, 3, 3, 1] blur, in place of a convolution.
        slope: of the rectifier below zero, positive.
        clamp: bound on the result's magnitude; None for none.
    """
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    with torch.autocast(device, enabled=False):  # what autocast would do in the function and forget in its backward
        constants = weight, bias, at_points, up, slope, clamp
        return _StyledConv.apply(x.to(dtype), style, demodulation, noise, to_rgb, *constants)


class _StyledConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        style: Tensor,
        demodulation: Tensor,
        noise: Tensor | None,
        to_rgb: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        at_points: Tensor | None,
        up: bool,
        slope: float,
        clamp: float | None,
    ) -> tuple[Tensor, Tensor | None]:
        # One image's factors go into its weights, which saves passes over the features.
        folded = len(x) == 1 and at_points is None
        scale = 2 if up else 1
        y = torch.empty(
            (len(x), len(weight), scale * x.shape[2], scale * x.shape[3]),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        rgb = None if to_rgb is None else y.new_empty(len(y), *y.shape[2:], to_rgb.shape[1]).permute(0, 3, 1, 2)
        factor, offset = per_channel(demodulation, y), per_channel(bias[None], y)
        kernel = (scaled(weight, demodulation, style) if folded else weight).to(x.dtype)
        added = bias.to(x.dtype) if folded else None
        for rows in strips(x, y, whole=at_points is not None):
            part = x if at_points is not None else _rows(x, rows.start - 1, rows.stop + 1)
            part = part if folded else part * per_channel(style, x)
            if at_points is not None:
                block = winograd.conv(part, at_points)
            elif up:
                block = F.conv_transpose2d(part, kernel.transpose(0, 1), stride=2)
                block = blur(block[:, :, 1:-1], added, padding=(0, 1))
            else:
                block = F.conv2d(part, kernel, added, padding=(0, 1))
            if not folded:
                torch.addcmul(offset, block, factor, out=block)
            own = slice(scale * rows.start, scale * rows.stop)
            if noise is not None:
                block += noise[:, :, own].to(y.dtype)
            rectify(block, slope, y[:, :, own])
            if clamp is not None:
                y[:, :, own].clamp_(-clamp, clamp)
            if rgb is not None and to_rgb is not None:
                rgb[:, :, own] = colours(y[:, :, own], to_rgb)
        ctx.save_for_backward(x, y, style, demodulation, noise, to_rgb, weight, bias, at_points)
        ctx.up, ctx.slope, ctx.clamp = up, slope, clamp
        ctx.set_materialize_grads(False)
        return y, rgb

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_y: Tensor | None, of_rgb: Tensor | None) -> tuple[Tensor | None, ...]:
        if of_y is None and of_rgb is None:
            return (None,) * 11
        x, out, style, demodulation, noise, to_rgb, weight, bias, at_points = ctx.saved_tensors
        folded, scale, height = len(x) == 1 and at_points is None, 2 if ctx.up else 1, out.shape[2]
        kernel = (scaled(weight, demodulation) if folded else weight).to(x.dtype)
        of_x = torch.empty_like(x) if ctx.needs_input_grad[0] or ctx.needs_input_grad[1] else None
        of_style = torch.zeros_like(style) if ctx.needs_input_grad[1] else None
        of_demodulation = torch.zeros_like(demodulation) if ctx.needs_input_grad[2] else None
        added = torch.ones_like(out[:, :1])  # what bias and noise are multiplied by, and added as
        added = added if noise is None else torch.cat([added, noise.to(out.dtype)], dim=1)
        of_noise = torch.empty_like(out[:, :1]) if ctx.needs_input_grad[3] else None
        of_to_rgb = torch.zeros_like(to_rgb) if ctx.needs_input_grad[4] and of_rgb is not None else None
        for rows in strips(x, out, whole=at_points is not None):
            own = slice(scale * rows.start, scale * rows.stop)
            wide = slice(max(0, own.start - scale), min(height, own.stop + scale))  # what these rows of x had part in
            given, result = _given(of_y, of_rgb, to_rgb, wide), out[:, :, wide]
            if ctx.clamp is not None:
                given = given * (result.abs() < ctx.clamp)
            before = torch.ops.aten.leaky_relu_backward(given, result, ctx.slope, True)
            inside = slice(own.start - wide.start, own.stop - wide.start)
            inner = before[:, :, inside]
            if of_demodulation is not None:
                # Sums of gradient times value, less those of what was added to the value.
                of_demodulation += product_sums(given[:, :, inside], result[:, :, inside], demodulation.dtype)
                of_bias, *of_map = _map_sums(added[:, :, own], inner, demodulation.dtype).unbind(1)
                of_demodulation -= of_bias * bias + sum(of_map)
            if of_noise is not None:
                of_noise[:, :, own] = inner.sum(1, keepdim=True)
            if of_to_rgb is not None and of_rgb is not None:
                of_to_rgb += _map_sums(of_rgb[:, :, own], out[:, :, own], to_rgb.dtype)
            if of_x is None:
                continue
            if not folded:
                before *= per_channel(demodulation, before)
            if at_points is not None:
                block = winograd.conv_adjoint(before, at_points)
            else:
                part = _rows(before, inside.start - scale, inside.stop + scale)
                if ctx.up:
                    block = F.conv2d(blur(part, padding=(0, 2)), kernel.transpose(0, 1), stride=2)
                else:
                    block = F.conv_transpose2d(part, kernel, padding=(2, 1))
            if of_style is not None:
                of_style += product_sums(block, x[:, :, rows], style.dtype)
            torch.mul(block, per_channel(style, block), out=of_x[:, :, rows])
        if of_demodulation is not None:
            of_demodulation /= demodulation
        return of_x, of_style, of_demodulation, of_noise, of_to_rgb, *[None] * 6


def colours(x: Float[Tensor, "b c h w"], to_rgb: Float[Tensor, "b colours c"]) -> Float[Tensor, "b colours h w"]:
    """A 1x1 convolution with weights for each image; channels last, like the features."""
    return (x.permute(0, 2, 3, 1) @ to_rgb.mT[:, None].to(x.dtype)).permute(0, 3, 1, 2)


def blur(
    x: Float[Tensor, "b c h1 w1"], bias: Float[Tensor, " c"] | None = None, *, padding: tuple[int, int] = (1, 1)
) -> Float[Tensor, "b c h w"]:
    """The [1, 3, 3, 1] filter along both axes, of total gain 4.

    Args:
        x: features.
        bias: added to the channels of the result.
        padding: rows and columns of zeros on each side; three fewer come out than there are then. With 2, it is the
            transpose of the filter with 1.
    """
    channels, taps = x.shape[1], x.new_tensor(_TAPS)
    # One filter of 16 taps: two of 4 are less arithmetic, but a pass more.
    kernel = taps.outer(taps).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, bias, padding=padding, groups=channels)


def rectify(x: Tensor, slope: float, out: Tensor) -> None:
    """Leaky rectifier of ``x``, written to ``out``."""
    torch.ops.aten.leaky_relu.out(x, slope, out=out)


def strips(
    x: Float[Tensor, "b inputs h w"], y: Float[Tensor, "b outputs h2 w2"], *, whole: bool = False
) -> Iterator[slice]:
    """Rows of ``x``, so many at a time that those of ``y`` made of them are at most BLOCK numbers, or one row of ``x``.

    Args:
        x: what goes into a layer.
        y: what comes out, as high or twice as high.
        whole: all rows at once, as always on devices that have no such caches.
    """
    height = x.shape[2]
    step = height if whole or x.device.type != "cpu" else max(1, BLOCK * height // y.numel())
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def _given(of_y: Tensor | None, of_rgb: Tensor | None, to_rgb: Tensor | None, rows: slice) -> Tensor:
    """The gradient of these rows of a layer's result, from what became of the result itself and of its colours."""
    if of_rgb is None or to_rgb is None:
        assert of_y is not None
        return of_y[:, :, rows]
    through = (of_rgb[:, :, rows].permute(0, 2, 3, 1) @ to_rgb[:, None].to(of_rgb.dtype)).permute(0, 3, 1, 2)
    return through if of_y is None else through.add_(of_y[:, :, rows])


def _rows(x: Float[Tensor, "b c h w"], start: int, stop: int) -> Float[Tensor, "b c h2 w"]:
    """These rows, zeros where there are none."""
    missing = (max(0, -start), max(0, stop - x.shape[2]))
    inside = x[:, :, max(0, start) : stop]
    return F.pad(inside, (0, 0, *missing)) if any(missing) else inside


def product_sums(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"], dtype: torch.dtype) -> Float[Tensor, "b c"]:
    """``(a * b).sum((2, 3))`` without the product: one pass and no rounding between, of batch norm's backward."""
    zeros, ones = a.new_zeros(a.shape[1], dtype=dtype), a.new_ones(a.shape[1], dtype=dtype)
    backward = torch.ops.aten.native_batch_norm_backward
    wanted = [False, True, False]
    pairs = zip(a.split(1), b.split(1), strict=True)
    return torch.stack([backward(p, q, ones, None, None, zeros, ones, True, 0.0, wanted)[1] for p, q in pairs])


def _map_sums(
    maps: Float[Tensor, "b n h w"], x: Float[Tensor, "b c h w"], dtype: torch.dtype
) -> Float[Tensor, "b n c"]:
    """The sum over all pixels of each map times each channel, row by row: all at once it is slow, a long sum for few
    numbers."""
    return (maps.transpose(1, 2) @ x.permute(0, 2, 3, 1)).sum(1, dtype=dtype)


def per_channel(factors: Float[Tensor, "b c"], like: Tensor) -> Float[Tensor, "b c 1 1"]:
    return factors.to(like.dtype)[:, :, None, None]


def scaled(
    weight: Tensor, outputs: Float[Tensor, "1 outputs"], inputs: Float[Tensor, "1 inputs"] | None = None
) -> Tensor:
    """Weights of one image, in the layout that they came in."""
    factors = outputs.mT if inputs is None else outputs.mT * inputs
    return weight * factors.to(weight.dtype)[:, :, None, None]
