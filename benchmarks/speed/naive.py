"""One step of the optimisation as public ports write it: what maskedit's speed is measured against.

Plain, from the published formulas (Karras et al. 2020, Eq. 1-3; MaskFaceGAN, Eq. 2-11): each image has modulated
weights of its own in a grouped convolution, resampling inserts zeros and filters with a general 4x4 kernel, each
term asks its model itself, and the classifier computes all of its heads.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

import maskedit as me
from maskedit.models.networks.stylegan2 import StyleGAN2


def steps(problem: me.Problem, stage: str, adam: Callable[..., torch.optim.Optimizer]) -> Iterator[Tensor]:
    """Endless steps of a stage of the paper's procedure; each yields the objective before it, ``[b]``.

    Args:
        problem: an edit of "smiling", with a :class:`StyleGAN2` as the generator.
        stage: "fit", "edit", "edit+shape" or "detail".
        adam: makes the optimiser.
    """
    generator, parser, classifier = problem.models.generator, problem.models.parser, problem.models.classifier
    assert isinstance(generator, StyleGAN2)
    image, size = problem.image, problem.image.shape[-1]
    latent = problem.start_latent()
    noises = [torch.zeros(len(image), 1, h, w).to(image) for h, w in generator.noise_shapes]
    moving = noises if stage == "detail" else [latent]
    optimizer = adam([tensor.requires_grad_() for tensor in moving], lr=0.1 if stage == "detail" else 1e-3)

    def seen(picture: Tensor, region: str) -> Tensor:
        everything = parser.parse(picture, parser.regions)
        return everything[:, [parser.regions.index(region)]]

    with torch.no_grad():
        skin, grown = resized(seen(image, "skin"), size), torch.zeros_like(image[:, :1])
        hair = seen(image, "hair") if stage == "edit+shape" else None
    while True:
        optimizer.zero_grad()
        picture = synthesize(generator, latent, noises)
        mask = torch.clamp(skin - grown, 0, 1)
        total = 2.0 * (mask * (picture - image) ** 2).mean((1, 2, 3))
        if stage.startswith("edit"):
            prediction = torch.sigmoid(classifier.classify(picture, classifier.attributes))
            prediction = prediction[:, classifier.attributes.index("smiling")]
            label = 0.95
            divergence = label * torch.log(label / prediction)
            total = total + 0.005 * (divergence + (1 - label) * torch.log((1 - label) / (1 - prediction)))
        if stage == "edit+shape":
            total = total + 0.5 * ((seen(picture, "hair") - hair) ** 2).mean((1, 2, 3))
        if stage == "detail":
            total = total + whiteness(noises)
        total.sum().backward()
        optimizer.step()
        with torch.no_grad():
            if stage.startswith("edit"):
                grown = resized(seen(picture, "mouth"), size)
            if stage == "detail":
                for noise in noises:
                    noise -= noise.mean((1, 2, 3), keepdim=True)
                    noise /= noise.std((1, 2, 3), keepdim=True)
        yield total.detach()


def synthesize(generator: StyleGAN2, w: Tensor, noises: Sequence[Tensor]) -> Tensor:
    """The generator's picture in [0, 1]."""
    x = generator.constant.repeat(len(w), 1, 1, 1)
    rgb = None
    for i, (conv, noise) in enumerate(zip(generator.convs, noises, strict=True)):
        x = modulated(x, conv.style(w[:, i]), conv.weight, demodulate=True, up=conv.up)
        x = x + conv.noise_strength * noise
        x = F.leaky_relu(x + conv.bias[None, :, None, None], 0.2) * 2**0.5
        if i % 2 == 0:  # the last convolution of its size
            layer = generator.to_rgbs[i // 2]
            new = modulated(x, layer.style(w[:, i + 1]), layer.weight[:, :, None, None], demodulate=False, up=False)
            new = new + layer.bias[None, :, None, None]
            rgb = new if rgb is None else new + filtered(rgb, up=2, before=2, after=1)
    return rgb * 0.5 + 0.5


def modulated(x: Tensor, style: Tensor, weight: Tensor, *, demodulate: bool, up: bool) -> Tensor:
    b, inputs, h, w = x.shape
    outputs, _, k, _ = weight.shape
    weight = weight[None] * style[:, None, :, None, None] / (inputs * k * k) ** 0.5
    if demodulate:
        weight = weight * torch.rsqrt(weight.pow(2).sum([2, 3, 4], keepdim=True) + 1e-8)
    x = x.reshape(1, b * inputs, h, w)
    if up:
        weight = weight.transpose(1, 2).reshape(b * inputs, outputs, k, k)
        y = F.conv_transpose2d(x, weight, stride=2, groups=b)
        return filtered(y.reshape(b, outputs, *y.shape[2:]), up=1, before=1, after=1)
    y = F.conv2d(x, weight.reshape(b * outputs, inputs, k, k), padding=k // 2, groups=b)
    return y.reshape(b, outputs, *y.shape[2:])


def filtered(x: Tensor, *, up: int, before: int, after: int) -> Tensor:
    """Zeros between the pixels and around them, then the 4x4 kernel of [1, 3, 3, 1], of total gain 4."""
    b, c, h, w = x.shape
    taps = x.new_tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps) / 16
    y = x.reshape(b, c, h, 1, w, 1)
    y = F.pad(y, [0, up - 1, 0, 0, 0, up - 1]).reshape(b, c, h * up, w * up)
    # Depthwise, as some ports have it: others fold the channels into the batch, which takes oneDNN half of a step.
    return F.conv2d(F.pad(y, [before, after, before, after]), kernel.expand(c, 1, 4, 4), groups=c)


def whiteness(noises: Sequence[Tensor]) -> Tensor:
    """Eq. 11 over each map's pyramid."""
    total = torch.zeros(len(noises[0])).to(noises[0])
    for noise in noises:
        while True:
            total = total + (noise * torch.roll(noise, 1, 3)).mean((1, 2, 3)) ** 2
            total = total + (noise * torch.roll(noise, 1, 2)).mean((1, 2, 3)) ** 2
            if noise.shape[2] <= 8:
                break
            noise = F.avg_pool2d(noise, 2)
    return total


def resized(mask: Tensor, size: int) -> Tensor:
    if mask.shape[-1] > size:
        return F.interpolate(mask, (size, size), mode="area")
    return F.interpolate(mask, (size, size), mode="bilinear", align_corners=False)
