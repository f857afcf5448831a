"""A frozen styled convolution with its gradients written by hand: fewer passes over the pictures, less kept.

Autograd keeps the picture before the convolution twice (with and without the style) and once after it. Here only what
goes in and what comes out is kept, and both are kept by the neighbours anyway: a leaky rectifier keeps the sign, so
that the value before it is known from the value after, and what demodulation needs, the sum of gradient times value,
is the same on both sides of the rectifier.

Everything that is not a convolution is done block by block, each small enough to stay in the processor's cache.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.models import winograd

BLOCK = 1 << 21
"""Numbers in a block."""

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
    up: bool,
    slope: float,
    clamp: float | None,
) -> Float[Tensor, "b outputs h2 w2"]:
    """``clamp(leaky_relu(conv(x * style) * demodulation + noise + bias))``, differentiable once.

    Args:
        x: features.
        style: factors of the input channels.
        demodulation: factors of the output channels, none of them zero.
        noise: added to every channel; None for none.
        weight: of the convolution; no gradient.
        bias: of the output channels; no gradient.
        at_points: ``winograd.at_points(weight)``, to use in place of it.
        up: a transposed convolution of stride 2 and the [1, 3, 3, 1] blur, in place of a convolution.
        slope: of the rectifier below zero, positive.
        clamp: bound on the result's magnitude; None for none.
    """
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    with torch.autocast(device, enabled=False):  # what autocast would do in the function and forget in its backward
        x, weight = x.to(dtype), weight.to(dtype)
        return _StyledConv.apply(x, style, demodulation, noise, weight, bias, at_points, up, slope, clamp)


class _StyledConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        style: Tensor,
        demodulation: Tensor,
        noise: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        at_points: Tensor | None,
        up: bool,
        slope: float,
        clamp: float | None,
    ) -> Tensor:
        # One image's factors go into its weights, which saves passes over the features.
        folded = len(x) == 1 and at_points is None
        if folded:
            y = _convolve(x, _scaled(weight, demodulation, style), bias.to(x.dtype), up)
        elif at_points is not None:
            y = winograd.conv(x * _channels(style, x), at_points)
        else:
            y = _convolve(x * _channels(style, x), weight, None, up)
        factor, offset = _channels(demodulation, y), _channels(bias[None], y)
        noise = None if noise is None else noise.to(y.dtype)
        for rows in blocks(y):
            block = y[:, :, rows]
            if not folded:
                torch.addcmul(offset, block, factor, out=block)
            if noise is not None:
                block += noise[:, :, rows]
            F.leaky_relu_(block, slope)
            if clamp is not None:
                block.clamp_(-clamp, clamp)
        ctx.save_for_backward(x, y, style, demodulation, noise, weight, bias, at_points)
        ctx.up, ctx.slope, ctx.clamp = up, slope, clamp
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, out, style, demodulation, noise, weight, bias, at_points = ctx.saved_tensors
        folded, factor = len(x) == 1 and at_points is None, _channels(demodulation, out)
        inner = torch.empty_like(out)  # the gradient of the convolution's result
        of_noise = torch.empty_like(out[:, :1]) if ctx.needs_input_grad[3] else None
        of_demodulation = torch.zeros_like(demodulation) if ctx.needs_input_grad[2] else None
        for rows in blocks(out):
            given, result = gradient[:, :, rows], out[:, :, rows]
            if ctx.clamp is not None:
                given = given * (result.abs() < ctx.clamp)
            before = inner[:, :, rows]
            torch.ops.aten.leaky_relu_backward.grad_input(given, result, ctx.slope, True, grad_input=before)
            if of_demodulation is not None:
                # Sums of gradient times value, less those of what was added to the value.
                of_demodulation += (given * result).sum((2, 3), dtype=demodulation.dtype)
                of_demodulation -= before.sum((2, 3), dtype=demodulation.dtype) * bias
                if noise is not None:
                    of_demodulation -= (before * noise[:, :, rows]).sum((2, 3), dtype=demodulation.dtype)
            if of_noise is not None:
                of_noise[:, :, rows] = before.sum(1, keepdim=True)
            if not folded:
                before *= factor
        if of_demodulation is not None:
            of_demodulation /= demodulation
        if not (ctx.needs_input_grad[0] or ctx.needs_input_grad[1]):
            return None, None, of_demodulation, of_noise, *[None] * 6
        if folded:
            weight = _scaled(weight, demodulation)
        if at_points is not None:
            of_x = winograd.conv_adjoint(inner, at_points)
        elif ctx.up:
            of_x = F.conv2d(blur(inner, adjoint=True), weight.transpose(0, 1), stride=2)
        else:
            of_x = F.conv_transpose2d(inner, weight, padding=1)
        del inner
        of_style = torch.zeros_like(style) if ctx.needs_input_grad[1] else None
        factor = _channels(style, x)
        for rows in blocks(x):
            block = of_x[:, :, rows]
            if of_style is not None:
                of_style += (block * x[:, :, rows]).sum((2, 3), dtype=style.dtype)
            block *= factor
        return of_x, of_style, of_demodulation, of_noise, *[None] * 6


def styled_rgb(x: Float[Tensor, "b inputs h w"], weight: Float[Tensor, "b 3 inputs"]) -> Float[Tensor, "b 3 h w"]:
    """A 1x1 convolution with weights for each image, differentiable once; channels last, like the features."""
    return _StyledRGB.apply(x, weight.to(x.dtype))


class _StyledRGB(torch.autograd.Function):
    """Products row by row: over all pixels at once the weights' gradient is a long sum for few numbers, and slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return (x.permute(0, 2, 3, 1) @ weight.mT[:, None]).permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = (gradient.permute(0, 2, 3, 1) @ weight[:, None]).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            of_weight = (gradient.transpose(1, 2) @ x.permute(0, 2, 3, 1)).sum(1)
        return of_x, of_weight


def blur(
    x: Float[Tensor, "b c h1 w1"], bias: Float[Tensor, " c"] | None = None, *, adjoint: bool = False
) -> Float[Tensor, "b c h w"]:
    """The [1, 3, 3, 1] filter along both axes, of total gain 4; one row and column fewer than came.

    Args:
        x: features.
        bias: added to the channels of the result.
        adjoint: the filter's transpose instead: one row and column more.
    """
    channels, taps = x.shape[1], x.new_tensor(_TAPS)
    # One filter of 16 taps: two of 4 are less arithmetic, but a pass more.
    kernel = taps.outer(taps).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, bias, padding=2 if adjoint else 1, groups=channels)


def blocks(x: Float[Tensor, "b c h w"]) -> Iterator[slice]:
    """Rows of pixels, so many at a time that a block has at most BLOCK numbers, or is one row."""
    b, channels, height, width = x.shape
    step = max(1, BLOCK // (b * channels * width))
    for start in range(0, height, step):
        yield slice(start, start + step)


def _channels(factors: Float[Tensor, "b c"], like: Tensor) -> Float[Tensor, "b c 1 1"]:
    return factors.to(like.dtype)[:, :, None, None]


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, up: bool) -> Tensor:
    if up:
        return blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), bias)
    return F.conv2d(x, weight, bias, padding=1)


def _scaled(
    weight: Tensor, outputs: Float[Tensor, "1 outputs"], inputs: Float[Tensor, "1 inputs"] | None = None
) -> Tensor:
    """Weights of one image, in the layout that they came in."""
    factors = outputs.mT if inputs is None else outputs.mT * inputs
    return weight * factors.to(weight.dtype)[:, :, None, None]
