"""A frozen convolution steered by a style, its gradients written by hand; keeps what goes in and what comes out."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.models.networks.fused import per_channel, product_sums, scaled


def modulated_conv(
    x: Float[Tensor, "b inputs h w"],
    style: Float[Tensor, "b inputs"],
    demodulation: Float[Tensor, "b outputs"],
    weight: Float[Tensor, "outputs inputs k k"],
    bias: Float[Tensor, " outputs"],
) -> Float[Tensor, "b outputs h2 w2"]:
    """``conv(x * style) * demodulation + bias``, padded by k - 1, so that it grows by as much; differentiable once.

    Args:
        x: features.
        style: factors of the input channels.
        demodulation: factors of the output channels, none of them zero.
        weight: of the convolution; no gradient.
        bias: of the output channels; no gradient.
    """
    return _ModulatedConv.apply(x, style, demodulation, weight, bias)


class _ModulatedConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, style: Tensor, demodulation: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padding = weight.shape[-1] - 1
        if len(x) == 1:  # one image's factors go into its weights, which saves passes over the features
            kernel = scaled(weight, demodulation, style).to(x.dtype)
            y = F.conv2d(x, kernel, bias.to(x.dtype), padding=padding)
        else:
            y = F.conv2d(x * per_channel(style, x), weight.to(x.dtype), padding=padding)
            torch.addcmul(per_channel(bias[None], y), y, per_channel(demodulation, y), out=y)
        ctx.save_for_backward(x, y, style, demodulation, weight, bias)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_y: Tensor) -> tuple[Tensor | None, ...]:
        x, y, style, demodulation, weight, bias = ctx.saved_tensors
        of_x = of_style = of_demodulation = None
        if ctx.needs_input_grad[2]:
            of_bias = of_y.sum((2, 3), dtype=bias.dtype) * bias
            of_demodulation = (product_sums(of_y, y, demodulation.dtype) - of_bias) / demodulation
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            kernel = scaled(weight, demodulation) if len(x) == 1 else weight
            given = of_y if len(x) == 1 else of_y * per_channel(demodulation, of_y)
            block = F.conv_transpose2d(given, kernel.to(x.dtype), padding=weight.shape[-1] - 1)
            of_style = product_sums(block, x, style.dtype)
            of_x = block.mul_(per_channel(style, block))
        return of_x, of_style, of_demodulation, None, None
