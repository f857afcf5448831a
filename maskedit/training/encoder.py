"""Train an encoder to W+ for a generator that stays as it is: ``maskedit train encoder --faces FOLDER --out RUN``.

The bundled encoder learned together with its generator (``maskedit train generator``). This is for a generator that
is done: the bundled one, or that of ``--generator FILE``, a StyleGAN2 checkpoint as ``maskedit convert`` writes it.
"""

import argparse
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.models.files.stylegan2_files import load_generator
from maskedit.models.networks.portraits import PortraitEncoder
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.weights.bundled import load
from maskedit.training.augment import crop, placement, recolour, uniform
from maskedit.training.faces import balanced, load_faces
from maskedit.training.generator import psnr, pyramid_distance, reconstruct, sheet
from maskedit.training.loop import Kept, decayed, draws, follow, half_precision, set_rate, train
from maskedit.training.protocol import Protocol, number, read_options


@dataclass(frozen=True, kw_only=True)
class EncoderProtocol(Protocol):
    """The numbers of this training."""

    batch: int = number(16, "pictures a step")
    steps: int = number(3000, "steps in all")
    rate: float = number(5e-4, "learning rate of Adam, falling to zero over the second half")
    components: int = number(512, "principal components of the photos that the encoder looks at")
    prior: float = number(3e-4, "weight of the mean square of the latents' deviation from the generator's mean")


PRESETS = {"bundled": EncoderProtocol()}


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--generator", type=Path, help="a StyleGAN2 checkpoint, instead of the bundled generator")

    protocol, options = read_options(__doc__, PRESETS, arguments, labels=False, more=more)
    device = options.device
    generator, mean = generator_and_mean(options.generator)
    generator, mean = generator.to(device), mean.to(device)
    generator.freeze()
    torch.manual_seed(protocol.seed)
    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    size = generator.resolution
    images = faces.resized(min(2 * size, faces.images.shape[-1]))
    test = (held_out.resized(size).float() / 255).to(device)
    layers, dim = generator.latent_shape
    net = PortraitEncoder(layers=layers, dim=dim, components=min(protocol.components, 2 * len(faces)))
    net.look_at(faces.resized(net.size).float() / 255)
    net.to(device)
    with torch.no_grad():
        net.expand.bias.copy_(mean.flatten())
    average = deepcopy(net)
    adam = torch.optim.Adam(net.parameters(), protocol.rate)

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        set_rate(adam, decayed(protocol.rate, i, protocol.steps, final=0.5))
        b = protocol.batch
        place = placement(
            0.5 + uniform(-0.015, 0.015, b, 2, random=random),
            uniform(-0.05, 0.03, b, random=random).exp(),
            uniform(-3.0, 3.0, b, random=random),
            (torch.rand(b, generator=random) < 0.5).float(),
        )
        photos = crop(images[balanced(faces, 0.5, b, random)].float() / 255, place, images.shape[-1])
        photos = recolour(torch.nn.functional.interpolate(photos, size=size, mode="area"), random, 0.2).to(device)
        latent = net.encode(photos)
        with half_precision(device):
            drawn = generator.synthesize(latent).float()
        distance = pyramid_distance(drawn, photos, torch.ones_like(photos[:, :1]))
        loss = distance + protocol.prior * (latent - mean).square().mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        follow(average, net, protocol.average, i)
        return {"distance": distance.detach()}

    def report(done: int) -> None:
        again = reconstruct(generator, average, test)
        print(f"held-out PSNR after {done}: {psnr(again, test).mean():.2f} dB", flush=True)
        chosen = range(0, len(test), max(len(test) // 12, 1))
        sheet(options.out / "sheet.png", test[chosen].cpu(), again[chosen].cpu())

    kept: Kept = {"net": net, "average": average, "adam": adam}
    train(step, kept, steps=protocol.steps, out=options.out, batch=protocol.batch, report=report, every=options.every)


def generator_and_mean(path: Path | None) -> tuple[StyleGAN2, Float[Tensor, "layers dim"]]:
    """The generator of a checkpoint, or the bundled one, and its mean latent."""
    if path is not None:
        generator = load_generator(path)
        return generator, generator.mean_latent()
    models = load()
    assert isinstance(models.generator, StyleGAN2)
    assert models.mean_latent is not None
    return models.generator, models.mean_latent


if __name__ == "__main__":
    main()
