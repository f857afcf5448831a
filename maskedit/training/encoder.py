"""Train an encoder to W+ for a generator that stays as it is: ``maskedit train encoder --faces FOLDER --out RUN``.

The bundled encoder learned together with its generator (``maskedit train generator``). This is for a generator that
is done: the bundled one, or that of ``--generator FILE``, a StyleGAN2 checkpoint as ``maskedit convert`` writes it.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.models.files.generators import load_generator
from maskedit.models.networks.portraits import PortraitEncoder
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.weights.bundled import load
from maskedit.training.augment import random_affine, recolour, warp_affine
from maskedit.training.faces import balanced, load_faces
from maskedit.training.loop import Training, half_precision, linear_decay, train
from maskedit.training.options import Hyperparameters, number, read_options
from maskedit.training.reconstruction import pyramid_distance, report_reconstruction


@dataclass(frozen=True, kw_only=True)
class EncoderHyperparameters(Hyperparameters):
    """The numbers of this training."""

    batch: int = number(16, "pictures a step")
    steps: int = number(3000, "steps in all")
    rate: float = number(5e-4, "learning rate of Adam, falling to zero over the second half")
    components: int = number(512, "principal components of the photos that the encoder looks at")
    prior: float = number(3e-4, "weight of the mean square of the latents' deviation from the generator's mean")


PRESETS = {"bundled": EncoderHyperparameters()}


def training(hyper: EncoderHyperparameters, options: argparse.Namespace) -> Training:
    """Networks, data, loss, optimiser, and what is reported."""
    device = options.device
    generator, mean = generator_and_mean(options.generator)
    generator, mean = generator.to(device), mean.to(device)
    generator.freeze()
    size, (layers, dim) = generator.resolution, generator.latent_shape

    faces, held_out = load_faces(options.faces, "train"), load_faces(options.faces, "test")
    images = faces.resized(min(2 * size, faces.images.shape[-1]))
    test = (held_out.resized(size).float() / 255).to(device)

    torch.manual_seed(hyper.seed)
    net = PortraitEncoder(layers=layers, dim=dim, components=min(hyper.components, 2 * len(faces)))
    net.look_at(faces.resized(net.size).float() / 255)
    with torch.no_grad():
        net.expand.bias.copy_(mean.flatten())

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        place = random_affine(hyper.batch, rng, shift=0.015, zoom=(-0.05, 0.03), degrees=3.0)
        photos = images[balanced(faces, 0.5, hyper.batch, rng)].float() / 255
        photos = F.interpolate(warp_affine(photos, place, images.shape[-1]), size=size, mode="area")
        photos = recolour(photos, rng, 0.2).to(device)
        latent = net.encode(photos)
        with half_precision(device):
            drawn = generator.synthesize(latent).float()
        distance = pyramid_distance(drawn, photos, torch.ones_like(photos[:, :1]))
        return {"loss": distance + hyper.prior * (latent - mean).square().mean(), "distance": distance}

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, PortraitEncoder)
        report_reconstruction(generator, ema, test, options.out / "sheet.png", done)

    return Training(
        network=net,
        optimizer=torch.optim.Adam(net.parameters(), hyper.rate),
        rate=lambda i: linear_decay(i, hyper.steps, final=0.5),
        loss=loss,
        steps=hyper.steps,
        report=report,
    )


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--generator", type=Path, help="a StyleGAN2 checkpoint, instead of the bundled generator")

    hyper, options = read_options(__doc__, PRESETS, arguments, labels=False, more=more)
    train(training(hyper, options), hyper, out=options.out, every=options.every, device=options.device)


def generator_and_mean(path: Path | None) -> tuple[StyleGAN2, Float[Tensor, "layers dim"]]:
    """The generator of a checkpoint, or the bundled one, and its mean latent."""
    if path is not None:
        generator = load_generator(path)
        if not isinstance(generator, StyleGAN2):
            raise InputError(f"{path} holds no StyleGAN2", actual=type(generator).__name__)
        return generator, generator.mean_latent()
    models = load()
    assert isinstance(models.generator, StyleGAN2)
    assert models.mean_latent is not None
    return models.generator, models.mean_latent


if __name__ == "__main__":
    main()
