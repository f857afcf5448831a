"""Train STGAN: ``maskedit train stgan --faces FOLDER --labels LABELS --out RUN``.

AttGAN's losses and schedule (Liu et al. 2019), but the generator is told the difference that is wanted, and nothing,
all zeros, for the reconstruction.
"""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.models.networks.stgan import STGAN, STGANDiscriminator
from maskedit.training import attgan
from maskedit.training.adversarial import adversarial_options, attribute_names, compete


def told(labels: Float[Tensor, "b a"], wanted: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
    """The difference of wanted and present states, each (2 label - 1) / 2: 0 where nothing changes, else -1 or 1."""
    return wanted - labels


discriminator_losses = partial(attgan.discriminator_losses, told=told)
generator_losses = partial(attgan.generator_losses, told=told)

PRESETS = {"small": replace(attgan.SMALL, width=10), "paper": attgan.PAPER}


def main(arguments: list[str] | None = None) -> None:
    hyper, options = adversarial_options(__doc__, PRESETS, arguments)
    torch.manual_seed(hyper.seed)
    count, width = len(attribute_names(hyper)), hyper.width
    compete(
        "stgan",
        STGAN(attributes=count, width=width, unit_width=width),
        STGANDiscriminator(attributes=count, width=width, size=hyper.size, hidden=hyper.hidden),
        discriminator_losses=discriminator_losses,
        generator_losses=generator_losses,
        told=told,
        rate=lambda i: attgan.halfway(i, hyper.steps),
        hyper=hyper,
        options=options,
    )


if __name__ == "__main__":
    main()
