"""Train StarGAN: ``maskedit train stargan --faces FOLDER --labels LABELS --out RUN``.

The losses and schedule of the released program (Choi et al. 2018): an adversarial loss with gradient penalty, the
attributes' cross-entropy, and the way back, ``|x - G(G(x, wanted), labels)|``. Where the release counts iterations of
the discriminator (200,000), here a step is five of them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.networks.stargan import StarGAN, StarGANDiscriminator
from maskedit.training.adversarial import (
    AdversarialHyperparameters,
    Losses,
    adversarial_options,
    attribute_names,
    compete,
    cross_entropy,
    gradient_penalty,
)
from maskedit.training.loop import linear_decay
from maskedit.training.options import number


def told(labels: Float[Tensor, "b a"], wanted: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
    """The wanted labels, whatever there was."""
    return wanted


def discriminator_losses(
    generator: nn.Module,
    discriminator: nn.Module,
    photos: Float[Tensor, "b 3 h w"],
    labels: Float[Tensor, "b a"],
    wanted: Float[Tensor, "b a"],
    alpha: Float[Tensor, "b 1 1 1"],
) -> Losses:
    """``real + fake + cls + 10 gp``; cross-entropy summed over attributes, penalty at alpha x + (1 - alpha) y."""
    with torch.no_grad():
        drawn = generator(photos, wanted)
    realness, logits = discriminator(photos)
    parts = {
        "D_loss_real": -realness.mean(),
        "D_loss_fake": discriminator(drawn)[0].mean(),
        "D_loss_cls": cross_entropy(logits, labels).sum() / len(photos),
        "D_loss_gp": gradient_penalty(lambda x: discriminator(x)[0], alpha * photos + (1 - alpha) * drawn),
    }
    real, fake, cls, penalty = parts.values()
    return real + fake + cls + 10 * penalty, parts


def generator_losses(
    generator: nn.Module,
    discriminator: nn.Module,
    photos: Float[Tensor, "b 3 h w"],
    labels: Float[Tensor, "b a"],
    wanted: Float[Tensor, "b a"],
) -> Losses:
    """``fake + cls + 10 rec``, the last of the way to the wanted labels and back."""
    drawn = generator(photos, wanted)
    realness, logits = discriminator(drawn)
    parts = {
        "G_loss_fake": -realness.mean(),
        "G_loss_cls": cross_entropy(logits, wanted).sum() / len(photos),
        "G_loss_rec": (photos - generator(drawn, labels)).abs().mean(),
    }
    fake, cls, rec = parts.values()
    return fake + cls + 10 * rec, parts


@dataclass(frozen=True, kw_only=True)
class StarGANHyperparameters(AdversarialHyperparameters):
    """The numbers of this training."""

    batch: int = number(16, "pictures a batch")
    rate: float = number(1e-4, "learning rate of Adam, falling to zero along a line over the second half")
    blocks: int = number(6, "residual blocks of the generator")
    layers: int = number(6, "convolutions of the discriminator")


PRESETS = {
    "small": StarGANHyperparameters(
        size=64, width=16, blocks=3, layers=5, steps=3000, batch=8, critic=2, rate=4e-4, average=0.995
    ),
    "paper": StarGANHyperparameters(),
}


def main(arguments: list[str] | None = None) -> None:
    hyper, options = adversarial_options(__doc__, PRESETS, arguments)
    torch.manual_seed(hyper.seed)
    count = len(attribute_names(hyper))
    compete(
        "stargan",
        StarGAN(attributes=count, width=hyper.width, blocks=hyper.blocks),
        StarGANDiscriminator(attributes=count, width=hyper.width, layers=hyper.layers, size=hyper.size),
        discriminator_losses=discriminator_losses,
        generator_losses=generator_losses,
        told=told,
        rate=lambda i: linear_decay(i, hyper.steps, final=0.5),
        hyper=hyper,
        options=options,
    )


if __name__ == "__main__":
    main()
