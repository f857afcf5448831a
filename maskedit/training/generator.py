"""Train generator and encoder: ``python -m maskedit.training.generator --faces FOLDER --labels LABELS --out RUN``.

An autoencoder whose decoder is StyleGAN2's synthesis: first at half the resolution, then at the whole, and in the last
quarter beside a discriminator, which sees reconstructions and mixtures of two people's latents. With ``--start`` the
generator of an earlier training goes on: the encoder learns alone first.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor, nn

from maskedit.memory import keep_memory
from maskedit.models.networks.portraits import PortraitEncoder
from maskedit.models.networks.stylegan2 import StyledConv, StyleGAN2
from maskedit.training.augment import random_affine, recolour, warp_affine
from maskedit.training.discriminator import Discriminator, generator_losses, train_discriminator
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.labels import Labels, load_labels
from maskedit.training.loop import Training, ema_weights, half_precision, linear_decay, step_rng, train
from maskedit.training.options import Hyperparameters, number, read_options
from maskedit.training.reconstruction import pyramid_distance, report_reconstruction
from maskedit.types import Image, Latent

CHANNELS = (128, 128, 96, 64, 32)
DIM = 128
NOISE = 0.05
"""Strength of the noise maps, not learned: reconstruction would silence the noise, which edits need for detail."""
IMPORTANCE = (0.4, 2.0, 1.5, 2.0, 0.9, 1.3, 1.0, 0.8, 0.4)
"""Weight of each region's pixels: what nobody edits need not be drawn well."""


def generator_config(resolution: int) -> dict[str, Any]:
    """The keyword arguments of the generator."""
    levels = resolution.bit_length() - 2
    channels = (*CHANNELS, *[CHANNELS[-1]] * (levels - len(CHANNELS)))[:levels]
    return {"resolution": resolution, "latent_dim": DIM, "channels": channels, "mapping_layers": 0}


def encoder_config(generator: StyleGAN2, photos: int = 1000) -> dict[str, Any]:
    """The keyword arguments of its encoder; so many photos and their mirror images have no more components."""
    layers, dim = generator.latent_shape
    return {"layers": layers, "dim": dim, "components": min(512, 2 * photos)}


def half_of(generator: StyleGAN2) -> StyleGAN2:
    """The generator up to half its resolution, with the same weights."""
    half = StyleGAN2(
        resolution=generator.resolution // 2,
        latent_dim=generator.latent_dim,
        channels=generator.channels[:-1],
        mapping_layers=0,
    )
    half.constant, half.convs, half.to_rgbs = generator.constant, generator.convs[:-2], generator.to_rgbs[:-1]
    return half


def noises_for(generator: StyleGAN2, count: int, rng: torch.Generator) -> list[Tensor]:
    """Random noise maps for ``count`` pictures."""
    return [
        torch.randn(count, 1, *shape, generator=rng).to(generator.constant.device) for shape in generator.noise_shapes
    ]


def photo_variants(faces: Faces, labels: Labels, size: int, times: int, seed: int) -> UInt8[Tensor, "n 4 size size"]:
    """All photos ``times`` over, a little turned, moved and dyed; fourth, how much a pixel counts, in fiftieths."""
    images, importance = faces.resized(2 * size), torch.tensor(IMPORTANCE)
    rows = torch.arange(len(faces)).repeat(times)
    made = []
    for i, part in enumerate(rows.split(64)):
        rng = step_rng(seed, -1 - i)
        photos, _ = labels.dyed(images[part].float() / 255, part, 0.3, rng)
        weight = F.interpolate(rearrange(importance[labels.regions[part].long()], "b h w -> b 1 h w"), photos.shape[-1])
        place = random_affine(len(part), rng, shift=0.015, zoom=(-0.05, 0.03), degrees=3.0, mirror=False)
        place[torch.rand(len(part), generator=rng) < 0.3] = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
        both = F.avg_pool2d(warp_affine(torch.cat([photos, weight], 1), place, 2 * size), 2)
        both[:, 3] *= 50 / 255
        made.append(both.mul(255).round().byte())
    return torch.cat(made)


@dataclass(frozen=True, kw_only=True)
class GeneratorHyperparameters(Hyperparameters):
    """The numbers of this training."""

    batch: int = number(16, "pictures a step")
    average: float = number(0.999, "decay of the average of the weights, which is what is used")
    resolution: int = number(64, "side of the pictures in pixels")
    steps: int = number(9000, "steps in all")
    variants: int = number(10, "pictures made of each photo: turned, moved, dyed")


PRESETS = {"bundled": GeneratorHyperparameters()}


def training(hyper: GeneratorHyperparameters, options: argparse.Namespace) -> Training:
    """Networks, data, losses, optimisers, and what is reported."""
    torch.manual_seed(hyper.seed)
    size, device = hyper.resolution, options.device
    small_until, alone_until = int(0.3 * hyper.steps), int(0.75 * hyper.steps)
    encoder_until = 0
    if options.start:
        small_until, encoder_until = 0, int(0.1 * hyper.steps)

    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    test = (held_out.resized(size).float() / 255).to(device)
    pictures = photo_variants(faces, load_labels(options.labels, faces), size, hyper.variants, hyper.seed)

    generator = StyleGAN2(**generator_config(size))
    for conv in generator.convs:
        assert isinstance(conv, StyledConv)
        assert conv.noise_strength is not None  # this one has noise
        nn.init.constant_(conv.noise_strength, NOISE).requires_grad_(False)
    if options.start:
        begun = {k.removeprefix("0."): v for k, v in ema_weights(options.start).items() if k.startswith("0.")}
        generator.load_state_dict(begun)
    encoder = PortraitEncoder(**encoder_config(generator, len(faces)))
    encoder.look_at(faces.resized(encoder.size).float() / 255)
    networks = nn.ModuleList([generator, encoder]).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    half = half_of(generator)
    discriminator = Discriminator(size=size).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]

    optimizer = torch.optim.Adam(
        [{"params": generator.parameters(), "lr": 2e-3}, {"params": encoder.parameters(), "lr": 5e-4}],
        betas=(0.5, 0.99),
    )
    judge_optimizer = torch.optim.Adam(discriminator.parameters(), 2e-3, betas=(0.5, 0.99))

    def drawn_by(net: StyleGAN2, latent: Latent, rng: torch.Generator) -> Image:
        with half_precision(device):
            return net.synthesize(latent[:, : net.latent_shape[0]], noises_for(net, len(latent), rng)).float()

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        rows = balanced(faces, 0.5, hyper.batch, rng)
        rows = rows + len(faces) * torch.randint(hyper.variants, rows.shape, generator=rng)
        both = pictures[rows].float() / 255
        mirrored = torch.rand(len(rows), 1, 1, 1, generator=rng) < 0.5
        both = torch.where(mirrored, both.flip(3), both)
        photos = recolour(both[:, :3], rng, 0.2).to(device, memory_format=torch.channels_last)
        weight = (both[:, 3:] * (255 / 50)).to(device)
        generator.requires_grad_(i >= encoder_until)
        for conv in generator.convs:
            if conv.noise_strength is not None:
                conv.noise_strength.requires_grad_(False)

        latent = encoder.encode(photos)
        moved = latent + 0.03 * torch.randn(latent.shape, generator=rng).to(device)
        if i < small_until:
            drawn = drawn_by(half, moved, rng)
            photos, weight = F.avg_pool2d(photos, 2), F.avg_pool2d(weight, 2)
        else:
            drawn = drawn_by(generator, moved, rng)
        # Beside distances that see every band, the root of the mean square: the PSNR of each picture.
        squares = ((drawn - photos).square() * weight).mean((1, 2, 3)) / weight.mean((1, 2, 3))
        distance = 0.3 * pyramid_distance(drawn, photos, weight) + (squares + 1e-4).sqrt().mean()
        total = distance + 3e-4 * latent.square().mean()
        if i < alone_until:
            return {"loss": total, "distance": distance}

        other = latent.roll(1, 0)[: len(latent) // 2]
        share = torch.rand(len(other), 1, 1, generator=rng).to(device)
        shown = torch.cat([drawn, drawn_by(generator, latent[: len(other)].lerp(other, share), rng)])
        judge = train_discriminator(discriminator, judge_optimizer, photos, shown, i)
        fool, alike = generator_losses(discriminator, photos, shown)
        total = total + min(1.0, (i - alone_until + 1) / 200) * (0.01 * fool + 0.06 * alike)
        return {"loss": total, "distance": distance, "judge": judge, "fool": fool, "alike": alike}

    def report(ema: nn.Module, done: int) -> None:
        own_generator, own_encoder = ema.children()
        assert isinstance(own_generator, StyleGAN2)
        assert isinstance(own_encoder, PortraitEncoder)
        report_reconstruction(own_generator, own_encoder, test, options.out / "sheet.png", done)

    return Training(
        network=networks,
        optimizer=optimizer,
        rate=lambda i: linear_decay(i, hyper.steps, final=0.4),
        loss=loss,
        steps=hyper.steps,
        report=report,
        also={"discriminator": discriminator, "judge": judge_optimizer},
    )


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--start", type=Path, help="checkpoint of an earlier training, whose generator goes on")

    hyper, options = read_options(__doc__, PRESETS, arguments, more=more)
    keep_memory()
    train(training(hyper, options), hyper, out=options.out, every=options.every, device=options.device)


if __name__ == "__main__":
    main()
