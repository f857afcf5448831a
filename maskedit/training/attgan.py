"""Train AttGAN: ``maskedit train attgan --faces FOLDER --labels LABELS --out RUN``.

The losses and schedule of the released program (He et al. 2019): an adversarial loss with gradient penalty, the
attributes' cross-entropy, and a reconstruction under the picture's own attributes. The release trains 200 epochs of
CelebA's 182,000 pictures, a batch for the generator after five for the discriminator: about 190,000 steps.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.networks.attgan import AttGAN, AttGANDiscriminator
from maskedit.training.adversarial import (
    AdversarialHyperparameters,
    Losses,
    adversarial_options,
    attribute_names,
    compete,
    cross_entropy,
    gradient_penalty,
)

Told = Callable[[Tensor, Tensor], Tensor]
"""What the generator is told for labels and wanted labels."""


def told(labels: Float[Tensor, "b a"], wanted: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
    """The wanted state, -0.5 or 0.5: ``(2 wanted - 1) / 2``."""
    return wanted - 0.5


def discriminator_losses(
    generator: nn.Module,
    discriminator: nn.Module,
    photos: Float[Tensor, "b 3 h w"],
    labels: Float[Tensor, "b a"],
    wanted: Float[Tensor, "b a"],
    alpha: Float[Tensor, "b 1 1 1"],
    *,
    told: Told = told,
) -> Losses:
    """``df + 10 gp + dc``; the cross-entropy is a mean over attributes, the penalty at x + alpha (y - x)."""
    with torch.no_grad():
        drawn = generator(photos, told(labels, wanted))
    realness, logits = discriminator(photos)
    parts = {
        "df_loss": discriminator(drawn)[0].mean() - realness.mean(),
        "df_gp": gradient_penalty(lambda x: discriminator(x)[0], photos + alpha * (drawn - photos)),
        "dc_loss": cross_entropy(logits, labels).mean(),
    }
    fake, penalty, cls = parts.values()
    return fake + 10 * penalty + cls, parts


def generator_losses(
    generator: nn.Module,
    discriminator: nn.Module,
    photos: Float[Tensor, "b 3 h w"],
    labels: Float[Tensor, "b a"],
    wanted: Float[Tensor, "b a"],
    *,
    told: Told = told,
) -> Losses:
    """``gf + 10 gc + 100 gr``, the last of the picture under its own labels."""
    realness, logits = discriminator(generator(photos, told(labels, wanted)))
    parts = {
        "gf_loss": -realness.mean(),
        "gc_loss": cross_entropy(logits, wanted).mean(),
        "gr_loss": (photos - generator(photos, told(labels, labels))).abs().mean(),
    }
    fake, cls, rec = parts.values()
    return fake + 10 * cls + 100 * rec, parts


def halfway(step: int, steps: int) -> float:
    """1, and a tenth from halfway on."""
    return 1.0 if step < steps / 2 else 0.1


SMALL = AdversarialHyperparameters(
    size=64, width=12, hidden=128, steps=3000, batch=16, critic=2, rate=4e-4, average=0.995
)
PAPER = AdversarialHyperparameters(steps=190_000, mirrored=0.0)
PRESETS = {"small": SMALL, "paper": PAPER}


def main(arguments: list[str] | None = None) -> None:
    hyper, options = adversarial_options(__doc__, PRESETS, arguments)
    torch.manual_seed(hyper.seed)
    count = len(attribute_names(hyper))
    compete(
        "attgan",
        AttGAN(attributes=count, width=hyper.width),
        AttGANDiscriminator(attributes=count, width=hyper.width, size=hyper.size, hidden=hyper.hidden),
        discriminator_losses=discriminator_losses,
        generator_losses=generator_losses,
        told=told,
        rate=lambda i: halfway(i, hyper.steps),
        hyper=hyper,
        options=options,
    )


if __name__ == "__main__":
    main()
