"""Train generator and encoder: ``python -m maskedit.training.generator --faces FOLDER --labels LABELS --out RUN``.

An autoencoder whose decoder is StyleGAN2's synthesis: first at half the resolution, then at the whole, and in the last
quarter beside a discriminator, which sees reconstructions and mixtures of two people's latents. With ``--start`` the
generator of an earlier training goes on: the encoder learns alone first.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maskedit.memory import keep_memory
from maskedit.models.networks.portraits import PortraitEncoder
from maskedit.models.networks.stylegan2 import EqualLinear, StyledConv, StyleGAN2
from maskedit.protocols import Encoder, LatentDistribution
from maskedit.training.augment import crop, placement, recolour, uniform
from maskedit.training.faces import Faces, balanced, load_faces
from maskedit.training.labels import Labels, load_labels
from maskedit.training.loop import Kept, averaged, decayed, draws, follow, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options
from maskedit.types import Image, Latent

CHANNELS = (128, 128, 96, 64, 32)
DIM = 128
NOISE = 0.05
"""Strength of the noise maps, not learned: reconstruction would silence the noise, which edits need for detail."""
IMPORTANCE = (0.4, 2.0, 1.5, 2.0, 0.9, 1.3, 1.0, 0.8, 0.4)
"""Weight of each region's pixels: what nobody edits need not be drawn well."""
ATTRIBUTE_COMPONENTS, RIDGE = 64, 5.0
"""How many principal components :func:`attribute_changes` is given, and the ridge of its regression."""


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
        x = F.leaky_relu(self.squeeze(torch.cat([x, spread], 1).flatten(1)), 0.2)
        return self.judge(x).squeeze(1).float(), features


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


def pyramid_distance(
    drawn: Float[Tensor, "b 3 h w"], photos: Float[Tensor, "b 3 h w"], weight: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Weighted L1, plus 1.5 times the mean weighted L1 over the levels of a Laplacian pyramid."""
    apart, total = drawn - photos, (drawn - photos).abs().mul(weight).mean()
    bands: list[Tensor] = []
    while apart.shape[-1] > 8:
        smaller = F.avg_pool2d(apart, 2)
        band = apart - F.interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        bands.append(band.abs().mul(weight).mean())
        apart, weight = smaller, F.avg_pool2d(weight, 2)
    return total + 1.5 * sum(bands, apart.abs().mul(weight).mean())


def noises_for(generator: StyleGAN2, count: int, random: torch.Generator) -> list[Tensor]:
    return [
        torch.randn(count, 1, *shape, generator=random).to(generator.constant.device)
        for shape in generator.noise_shapes
    ]


def psnr(drawn: Float[Tensor, "b 3 h w"], photos: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Peak signal to noise ratio of each picture, in dB."""
    return -10 * (drawn.clamp(0, 1) - photos).square().mean((1, 2, 3)).log10()


@torch.no_grad()
def reconstruct(generator: StyleGAN2, encoder: Encoder, photos: Image) -> Image:
    """Each photo through encoder and generator, without noise."""
    return torch.cat([generator.synthesize(encoder.encode(part)) for part in photos.split(32)])


@torch.no_grad()
def latents_of(
    encoder: PortraitEncoder,
    faces: Faces,
    components: int,
    known: Mapping[str, Float[Tensor, " n"]] | None = None,
) -> LatentDistribution:
    """Mean, principal components and attributes' directions of the latents of photos and their mirror images.

    Args:
        encoder: gives the latents.
        faces: the photos.
        components: how many principal components.
        known: labels of the photos by attribute: 1 present, 0 absent, NaN unknown.
    """
    photos = faces.resized(encoder.size).float() / 255
    codes = torch.cat([encoder.encode(part) for part in torch.cat([photos, photos.flip(3)]).split(64)]).flatten(1)
    mean = codes.mean(0)
    _, values, directions = torch.linalg.svd(codes - mean, full_matrices=False)
    deviations = values / (len(codes) - 1) ** 0.5
    directions, deviations = directions[:components], deviations[:components]
    scores = (codes - mean) @ directions.mT / deviations
    changes = attribute_changes(scores[:, :ATTRIBUTE_COMPONENTS], {k: v.repeat(2) for k, v in (known or {}).items()})
    along = {
        name: (change * deviations[: len(change)] @ directions[: len(change)]).view(encoder.latent_shape)
        for name, change in changes.items()
    }
    return LatentDistribution(mean.view(encoder.latent_shape), directions, deviations, along)


def attribute_changes(
    scores: Float[Tensor, "n k"], known: Mapping[str, Float[Tensor, " n"]]
) -> dict[str, Float[Tensor, " k"]]:
    """What each attribute adds to the scores of those who have it, all other attributes equal.

    Ridge regression of the scores on all labels at once, so that smiling does not bring along what those who smile
    have otherwise in common. Unknown labels count as the mean.

    Args:
        scores: of latents along principal components, in standard deviations.
        known: by attribute: 1 present, 0 absent, NaN unknown.

    Returns:
        By attribute, the change of the scores from absent to present; zeros where nothing is known.
    """
    if not known:
        return {}
    labels = torch.stack(list(known.values()), 1)
    centred = (labels - labels.nanmean(0)).nan_to_num(0.0)
    changes = torch.linalg.solve(centred.mT @ centred + RIDGE * torch.eye(labels.shape[1]), centred.mT @ scores)
    return dict(zip(known, changes, strict=True))


def sheet(path: Path, *rows: Image) -> None:
    """Write pictures as a PNG, one row each."""
    from PIL import Image as Pillow

    picture = torch.cat([torch.cat(list(row), 2) for row in rows], 1).clamp(0, 1).mul(255).round().byte()
    Pillow.fromarray(picture.permute(1, 2, 0).numpy()).save(path)


def varied(faces: Faces, labels: Labels, size: int, times: int, seed: int) -> UInt8[Tensor, "n 4 size size"]:
    """All photos ``times`` over, a little turned, moved and dyed; fourth, how much a pixel counts, in fiftieths."""
    images, importance = faces.resized(2 * size), torch.tensor(IMPORTANCE)
    rows = torch.arange(len(faces)).repeat(times)
    made = []
    for i, part in enumerate(rows.split(64)):
        random = draws(seed, -1 - i)
        photos, _ = labels.dyed(images[part].float() / 255, part, 0.3, random)
        weight = F.interpolate(importance[labels.regions[part].long()][:, None], size=photos.shape[-1])
        place = placement(
            0.5 + uniform(-0.015, 0.015, len(part), 2, random=random),
            uniform(-0.05, 0.03, len(part), random=random).exp(),
            uniform(-3.0, 3.0, len(part), random=random),
            torch.zeros(len(part)),
        )
        place[torch.rand(len(part), generator=random) < 0.3] = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
        both = F.avg_pool2d(crop(torch.cat([photos, weight], 1), place, 2 * size), 2)
        both[:, 3] *= 50 / 255
        made.append(both.mul(255).round().byte())
    return torch.cat(made)


@dataclass(frozen=True, kw_only=True)
class GeneratorProtocol(Protocol):
    """The numbers of this training."""

    batch: int = number(16, "pictures a step")
    average: float = number(0.999, "decay of the average of the weights, which is what is used")
    resolution: int = number(64, "side of the pictures in pixels")
    steps: int = number(9000, "steps in all")
    variants: int = number(10, "pictures made of each photo: turned, moved, dyed")


PRESETS = {"bundled": GeneratorProtocol()}


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--start", type=Path, help="checkpoint of an earlier training, whose generator goes on")

    protocol, options = read_options(__doc__, PRESETS, arguments, more=more)
    small_until, alone_until = int(0.3 * protocol.steps), int(0.75 * protocol.steps)
    encoder_until = 0
    if options.start:
        small_until, encoder_until = 0, int(0.1 * protocol.steps)

    keep_memory()
    torch.manual_seed(protocol.seed)
    size, device = protocol.resolution, options.device
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    test = (held_out.resized(size).float() / 255).to(device)
    pictures = varied(faces, load_labels(options.labels, faces), size, protocol.variants, protocol.seed)

    generator = StyleGAN2(**generator_config(size))
    for conv in generator.convs:
        assert isinstance(conv, StyledConv)
        nn.init.constant_(conv.noise_strength, NOISE).requires_grad_(False)
    if options.start:
        begun = {k.removeprefix("0."): v for k, v in averaged(options.start).items() if k.startswith("0.")}
        generator.load_state_dict(begun)
    encoder = PortraitEncoder(**encoder_config(generator, len(faces)))
    encoder.look_at(faces.resized(encoder.size).float() / 255)
    discriminator = Discriminator(size=size)
    nets = nn.ModuleList([generator, encoder]).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    half = half_of(generator)
    average_generator, average_encoder = deepcopy(generator), deepcopy(encoder)
    average = nn.ModuleList([average_generator, average_encoder])
    draw_adam = torch.optim.Adam(
        [{"params": generator.parameters(), "rate": 2e-3}, {"params": encoder.parameters(), "rate": 5e-4}],
        betas=(0.5, 0.99),
    )
    judge_adam = torch.optim.Adam(discriminator.parameters(), 2e-3, betas=(0.5, 0.99))

    def half_precision() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16)

    def drawn_by(net: StyleGAN2, latent: Latent, random: torch.Generator) -> Image:
        return net.synthesize(latent[:, : net.latent_shape[0]], noises_for(net, len(latent), random)).float()

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        for group in draw_adam.param_groups:
            group["lr"] = decayed(group["rate"], i, protocol.steps, final=0.4)
        rows = balanced(faces, 0.5, protocol.batch, random)
        rows = rows + len(faces) * torch.randint(protocol.variants, rows.shape, generator=random)
        both = pictures[rows].float() / 255
        mirrored = torch.rand(len(rows), 1, 1, 1, generator=random) < 0.5
        both = torch.where(mirrored, both.flip(3), both)
        photos = recolour(both[:, :3], random, 0.2).to(device, memory_format=torch.channels_last)
        weight = (both[:, 3:] * (255 / 50)).to(device)
        log: dict[str, Tensor] = {}
        generator.requires_grad_(i >= encoder_until)
        for conv in generator.convs:
            conv.noise_strength.requires_grad_(False)
        latent = encoder.encode(photos)
        moved = latent + 0.03 * torch.randn(latent.shape, generator=random).to(device)
        with half_precision():
            if i < small_until:
                drawn = drawn_by(half, moved, random)
                photos, weight = F.avg_pool2d(photos, 2), F.avg_pool2d(weight, 2)
            else:
                drawn = drawn_by(generator, moved, random)
        # Beside distances that see every band, the root of the mean square: the PSNR of each picture.
        squares = ((drawn - photos).square() * weight).mean((1, 2, 3)) / weight.mean((1, 2, 3))
        loss = 0.3 * pyramid_distance(drawn, photos, weight) + (squares + 1e-4).sqrt().mean()
        log["distance"] = loss.detach()
        loss = loss + 3e-4 * latent.square().mean()
        if i >= alone_until:
            other = latent.roll(1, 0)[: len(latent) // 2]
            share = torch.rand(len(other), 1, 1, generator=random).to(device)
            with half_precision():
                mixed = drawn_by(generator, latent[: len(other)].lerp(other, share), random)
            loss = loss + adversarial(i, drawn, mixed, photos, log)
        draw_adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(nets.parameters(), 1.0)
        draw_adam.step()
        follow(average, nets, protocol.average, i)
        return log

    def adversarial(
        i: int,
        drawn: Float[Tensor, "b 3 h w"],
        mixed: Float[Tensor, "b2 3 h w"],
        photos: Float[Tensor, "b 3 h w"],
        log: dict[str, Tensor],
    ) -> Float[Tensor, ""]:
        """Train the discriminator by a step; the generator's part of the game."""
        fakes = torch.cat([drawn, mixed])
        rate = min(1.0, (i - alone_until + 1) / 200)
        set_rate(judge_adam, 2e-3)
        judge_adam.zero_grad()
        with half_precision():
            real, _ = discriminator(photos)
            fake, _ = discriminator(fakes.detach())
        judged = F.softplus(-real).mean() + F.softplus(fake).mean()
        judged.backward()
        if i % 16 == 0:
            seen = photos.detach().requires_grad_()
            (slope,) = torch.autograd.grad(discriminator(seen)[0].sum(), seen, create_graph=True)
            (16 * 0.5 * slope.square().sum((1, 2, 3)).mean()).backward()
        torch.nn.utils.clip_grad_norm_(discriminator.parameters(), 10.0)
        judge_adam.step()

        discriminator.requires_grad_(False)
        with half_precision():
            fake, own = discriminator(fakes)
            with torch.no_grad():
                _, wanted = discriminator(photos)
        discriminator.requires_grad_(True)
        alike = torch.stack(
            [
                (F.normalize(a[: len(photos)].float()) - F.normalize(b.float())).square().sum(1).mean()
                for a, b in zip(own, wanted, strict=True)
            ]
        ).mean()  # directions only, so that it cannot run away
        log |= {"judge": judged.detach(), "fool": F.softplus(-fake).mean().detach(), "alike": alike.detach()}
        return rate * (0.01 * F.softplus(-fake).mean() + 0.06 * alike)

    def report(done: int) -> None:
        again = reconstruct(average_generator, average_encoder, test)
        print(f"held-out PSNR after {done}: {psnr(again, test).mean():.2f} dB", flush=True)
        chosen = range(0, len(test), max(len(test) // 12, 1))
        sheet(options.out / "sheet.png", test[chosen].cpu(), again[chosen].cpu())

    kept: Kept = {
        "nets": nets,
        "average": average,
        "discriminator": discriminator,
        "draw": draw_adam,
        "judge": judge_adam,
    }
    train(step, kept, steps=protocol.steps, out=options.out, batch=protocol.batch, report=report, every=options.every)


if __name__ == "__main__":
    main()
