"""A generator that maskedit does not know, StyleGAN3, takes part through a protocol of three names and a method.

The network here is a small one of random weights with the interface of NVIDIA's: ``mapping(z)``, ``mapping.w_avg``,
``synthesis(ws)``, ``num_ws``, ``w_dim``, ``img_resolution``. Put your own in its place. Reading a StyleGAN3 pickle with
NVIDIA's program runs code that the file carries, so do that only with files that you trust.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toy_models import toy_models, toy_photos

import maskedit as me


class StyleGAN3Generator(nn.Module):
    """NVIDIA's interface as maskedit's: this is all that is needed."""

    noise_shapes = ()  # StyleGAN3 has no noise inputs, so a schedule has no noise stage

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.resolution = network.img_resolution
        self.latent_shape = (network.num_ws, network.w_dim)

    def synthesize(self, latent: Tensor, noises: Sequence[Tensor]) -> Tensor:
        return self.network.synthesis(latent) / 2 + 0.5  # the network draws in [-1, 1]

    def mean_latent(self) -> Tensor:
        return self.network.mapping.w_avg.expand(self.latent_shape)


class Mapping(nn.Module):
    def __init__(self, *, w_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(w_dim, w_dim), nn.LeakyReLU(0.2), nn.Linear(w_dim, w_dim))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(F.normalize(z, dim=1) * z.shape[1] ** 0.5)


class Synthesis(nn.Module):
    """Fourier features, moved and turned by the first vector, then layers that are steered by one vector each."""

    def __init__(self, *, w_dim: int, channels: int, layers: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.place = nn.Linear(w_dim, 3)  # angle, shift along x and y
        self.register_buffer("frequencies", 2 * torch.randn(channels, 2))
        self.register_buffer("phases", torch.rand(channels))
        self.styles = nn.ModuleList(nn.Linear(w_dim, channels) for _ in range(layers))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(layers - 1))
        self.to_rgb = nn.Conv2d(channels, 3, 1)

    def forward(self, ws: Tensor) -> Tensor:
        angle, *shift = self.place(ws[:, 0]).unbind(1)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
        line = (torch.arange(self.resolution) + 0.5).to(ws) / self.resolution - 0.5
        at = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1) - torch.stack(shift, 1)[:, None, None]
        x = torch.sin(2 * torch.pi * (at @ (self.frequencies @ turn).mT[:, None] + self.phases)).permute(0, 3, 1, 2)
        for conv, style, w in zip(self.convs, self.styles, ws[:, 1:].unbind(1), strict=False):
            x = F.leaky_relu(conv(x * (1 + style(w))[:, :, None, None]), 0.2) * 2**0.5
        return self.to_rgb(x * (1 + self.styles[-1](ws[:, -1]))[:, :, None, None])


class TinyStyleGAN3(nn.Module):
    def __init__(self, *, w_dim: int = 64, channels: int = 96, layers: int = 4, resolution: int = 32) -> None:
        super().__init__()
        self.w_dim, self.num_ws, self.img_resolution = w_dim, layers + 1, resolution
        self.mapping = Mapping(w_dim=w_dim)
        self.synthesis = Synthesis(w_dim=w_dim, channels=channels, layers=layers, resolution=resolution)


torch.manual_seed(0)
generator = StyleGAN3Generator(TinyStyleGAN3())
toys = toy_models()
models = me.Models(generator, toys.parser, toys.classifier, mean_latent=generator.mean_latent())

keep = 2.0 * me.preserve("skin")
schedule = me.Schedule(
    me.Stage("fit", 100, keep, vary=me.latent(lr=0.05)),
    me.Stage(
        "edit", 60, keep + 0.01 * me.attribute("blond_hair"), vary=me.latent(lr=0.05), after_step=[me.GrowTarget()]
    ),
)
print(schedule)

problem = me.Problem(models, toy_photos(), "blond_hair")
result = me.run(problem, schedule)
fit, blond = result.history.raw["fit.preserve"][0], result.history.raw["edit.blond_hair"][0]
print(f"distance to the photo {fit[0]:.2g} -> {fit[-1]:.2g}, to blond {blond[0]:.2g} -> {blond[-1]:.2g}")
