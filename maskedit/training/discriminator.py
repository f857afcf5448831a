"""The generator's adversary: it tells photos from drawn pictures, and is trained beside the generator."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.networks.mapping import EqualLinear
from maskedit.training.loop import half_precision
from maskedit.types import Image

R1, R1_EVERY = 1.0, 16
"""Weight of the gradient penalty R1 (Mescheder et al. 2018), and how many steps one of them stands for."""


class EqualConv(nn.Module):
    """A 4x4 convolution that halves the size, with an equalised learning rate."""

    def __init__(self, *, inputs: int, outputs: int) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(16 * inputs)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 4, 4))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h2 w2"]:
        return F.conv2d(x, self.weight * self.scale, self.bias, stride=2, padding=1)


class Discriminator(nn.Module):
    """Tells photos from drawn pictures; gives its features too."""

    def __init__(self, *, size: int, widths: Sequence[int] = (32, 64, 96, 128)) -> None:
        super().__init__()
        self.convs = nn.ModuleList(EqualConv(inputs=i, outputs=o) for i, o in zip((3, *widths), widths, strict=False))
        last = (size >> len(widths)) ** 2 * (widths[-1] + 1)
        self.squeeze = EqualLinear(inputs=last, outputs=128)
        self.judge = EqualLinear(inputs=128, outputs=1)

    def forward(self, image: Image) -> tuple[Float[Tensor, " b"], list[Float[Tensor, "b _ _ _"]]]:
        x, features = image * 2 - 1, []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2) * 2**0.5
            features.append(x)
        spread = x.float().std(0).mean().expand(len(x), 1, *x.shape[2:]).to(x.dtype)  # of the batch, against sameness
        flat = rearrange(torch.cat([x, spread], 1), "b c h w -> b (c h w)")
        return rearrange(self.judge(F.leaky_relu(self.squeeze(flat), 0.2)), "b 1 -> b").float(), features


def train_discriminator(
    discriminator: Discriminator,
    optimizer: torch.optim.Optimizer,
    photos: Float[Tensor, "b 3 h w"],
    drawn: Float[Tensor, "b2 3 h w"],
    step: int,
) -> Float[Tensor, ""]:
    """One step of the non-saturating loss, every 16th with the penalty; returns the loss before it."""
    optimizer.zero_grad()
    with half_precision(photos.device):
        real, _ = discriminator(photos)
        fake, _ = discriminator(drawn.detach())
    loss = F.softplus(-real).mean() + F.softplus(fake).mean()
    loss.backward()
    if step % R1_EVERY == 0:
        seen = photos.detach().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(seen)[0].sum(), seen, create_graph=True)
        (R1_EVERY * R1 / 2 * slope.square().sum((1, 2, 3)).mean()).backward()
    torch.nn.utils.clip_grad_norm_(discriminator.parameters(), 10.0)
    optimizer.step()
    return loss.detach()


def generator_losses(
    discriminator: Discriminator, photos: Float[Tensor, "b 3 h w"], drawn: Float[Tensor, "b2 3 h w"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """How little the discriminator is fooled, and how far features of the first ``b`` pictures lie from the photos'.

    Of features only directions count, so that the distance cannot run away.
    """
    discriminator.requires_grad_(False)
    with half_precision(photos.device):
        fake, own = discriminator(drawn)
        with torch.no_grad():
            _, wanted = discriminator(photos)
    discriminator.requires_grad_(True)
    apart = [
        (F.normalize(a[: len(photos)].float()) - F.normalize(b.float())).square().sum(1).mean()
        for a, b in zip(own, wanted, strict=True)
    ]
    return F.softplus(-fake).mean(), torch.stack(apart).mean()
