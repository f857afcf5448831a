"""What the trainings of StarGAN, AttGAN and STGAN share: a generator against a critic that also names attributes.

A step is ``critic`` batches for the discriminator, then the generator on the last of them. Labels are 1, 0 or, where
nothing is known, 1/2, which is neither wanted nor learned from. Faces are taken as they are aligned; the releases
crop the middle of CelebA's portraits (178 px for StarGAN, 170 px for the others), which comes to much the same.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.errors import InputError
from maskedit.models.files.checkpoints import write
from maskedit.training.faces import load_faces
from maskedit.training.given_attributes import read_attributes
from maskedit.training.labels import load_labels
from maskedit.training.loop import Kept, resumable, step_rng, update_ema
from maskedit.training.options import Hyperparameters, number, read_options
from maskedit.training.sheets import sheet

Losses = tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]
"""What is minimised, and its parts."""
ON_SHEET = 8


@dataclass(frozen=True, kw_only=True)
class AdversarialHyperparameters(Hyperparameters):
    """The numbers of these trainings."""

    average: float = number(0.0, "decay of the average of the weights; 0 takes the weights as they are, as released")
    steps: int = number(40_000, "steps in all, of critic batches each")
    critic: int = number(5, "batches for the discriminator in a step")
    rate: float = number(2e-4, "learning rate of Adam")
    size: int = number(128, "side of the pictures in pixels")
    width: int = number(64, "channels after the first convolution")
    hidden: int = number(1024, "width of the discriminator's linear layers, where it has some")
    mirrored: float = number(0.5, "share of the pictures that are mirrored")
    attributes: str = number(",".join(ATTRIBUTE_REGIONS), "what the generator learns to change")


def cross_entropy(logits: Float[Tensor, "b a"], labels: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
    """Binary cross-entropy of each attribute; 0 where nothing is known."""
    known = (labels != 0.5).to(logits)
    return known * F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def gradient_penalty(realness: Callable[[Tensor], Tensor], mixed: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
    """How far the critic's gradients are from length 1 at pictures between real and drawn (Gulrajani et al. 2017).

    Args:
        realness: gives one number or more a picture; their sum is differentiated.
        mixed: the pictures.
    """
    mixed = mixed.detach().requires_grad_()
    (slope,) = torch.autograd.grad(realness(mixed).sum(), mixed, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def others_labels(labels: Float[Tensor, "b a"], rng: torch.Generator) -> Float[Tensor, "b a"]:
    """What each picture shall show: the labels of another one of the batch, and its own where those are not known."""
    others = labels[torch.randperm(len(labels), generator=rng).to(labels.device)]
    return torch.where(others == 0.5, labels, others)


def compete(
    name: str,
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    discriminator_losses: Callable[[nn.Module, nn.Module, Tensor, Tensor, Tensor, Tensor], Losses],
    generator_losses: Callable[[nn.Module, nn.Module, Tensor, Tensor, Tensor], Losses],
    told: Callable[[Tensor, Tensor], Tensor],
    rate: Callable[[int], float],
    hyper: AdversarialHyperparameters,
    options: argparse.Namespace,
) -> None:
    """Train the two against each other, and write ``NAME.safetensors`` beside the checkpoint: the generator, in half.

    Args:
        name: of the method.
        generator: takes pictures in [-1, 1] and what it is told.
        discriminator: gives how real pictures are, and attributes' logits.
        discriminator_losses: of generator, discriminator, pictures, labels, wanted labels and ``alpha`` [b, 1, 1, 1].
        generator_losses: of generator, discriminator, pictures, labels, wanted labels.
        told: what the generator is told for labels and wanted labels.
        rate: what the learning rate is multiplied by at a step.
        hyper: the numbers.
        options: of the command line.
    """
    device, names = options.device, attribute_names(hyper)
    images, labels = labelled(options, "train", names, hyper.size)
    shown, shown_labels = (part[:ON_SHEET] for part in labelled(options, "test", names, hyper.size))
    if len(images) < hyper.batch:
        raise InputError(
            "there are fewer photos than one batch has", expected=str(hyper.batch), actual=str(len(images))
        )
    generator.to(device)
    discriminator.to(device)
    average = deepcopy(generator)
    # Instance and batch norms, as the releases: they come from the batch while training.
    players = {"adam": generator, "adam_discriminator": discriminator}
    adams = {key: torch.optim.Adam(net.parameters(), hyper.rate, (0.5, 0.999)) for key, net in players.items()}

    def batch(rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.randperm(len(images), generator=rng)[: hyper.batch]
        photos = images[rows].float() / 127.5 - 1
        mirrored = torch.rand(len(rows), 1, 1, 1, generator=rng) < hyper.mirrored
        photos = torch.where(mirrored, photos.flip(3), photos)
        return photos.to(device), labels[rows].to(device), others_labels(labels[rows], rng).to(device)

    def improve(key: str, losses: Losses) -> Mapping[str, Tensor]:
        total, parts = losses
        adams[key].zero_grad()
        total.backward()
        adams[key].step()
        return {part: value.detach() for part, value in parts.items()}

    def step(i: int) -> dict[str, Tensor]:
        rng = step_rng(hyper.seed, i)
        for adam in adams.values():
            for group in adam.param_groups:
                group["lr"] = hyper.rate * rate(i)
        generator.train()
        for _ in range(hyper.critic):
            photos, own, wanted = batch(rng)
            alpha = torch.rand(len(photos), 1, 1, 1, generator=rng).to(device)
            losses = discriminator_losses(generator, discriminator, photos, own, wanted, alpha)
            logged = dict(improve("adam_discriminator", losses))
        discriminator.requires_grad_(False)
        logged |= improve("adam", generator_losses(generator, discriminator, photos, own, wanted))
        discriminator.requires_grad_(True)
        update_ema(average, generator, hyper.average, i)
        return logged

    @torch.no_grad()
    def report(done: int) -> None:
        average.eval()
        pictures, own = shown.to(device).float() / 127.5 - 1, shown_labels.to(device)
        rows = [pictures]
        for column in range(len(names)):
            wanted = own.clone()
            wanted[:, column] = 1 - own[:, column].round()
            rows.append(average(pictures, told(own, wanted)))
        sheet(options.out / "sheet.png", *(row.cpu() / 2 + 0.5 for row in rows))
        facts = {"network": name, "attributes": ",".join(names), "size": str(hyper.size), "steps": str(done)}
        weights = {
            key: (value.half() if value.is_floating_point() else value).cpu()
            for key, value in average.state_dict().items()
        }
        write(options.out / f"{name}.safetensors", weights, facts)

    kept: Kept = {"net": generator, "average": average, "discriminator": discriminator, **adams}
    pictures = hyper.critic * hyper.batch
    resumable(step, kept, steps=hyper.steps, out=options.out, batch=pictures, report=report, every=options.every)


def attribute_names(hyper: AdversarialHyperparameters) -> tuple[str, ...]:
    """What the generator learns to change.

    Raises:
        InputError: if an attribute cannot be measured in photos.
    """
    names = tuple(hyper.attributes.split(","))
    if unknown := [name for name in names if name not in ATTRIBUTE_REGIONS]:
        raise InputError(f"no labels are known for the attribute {unknown[0]!r}", expected=", ".join(ATTRIBUTE_REGIONS))
    return names


def labelled(
    options: argparse.Namespace, split: str, names: Sequence[str], size: int
) -> tuple[UInt8[Tensor, "n 3 size size"], Float[Tensor, "n a"]]:
    """The photos of a split, and what is known of them: 1, 0, or 1/2 for nothing."""
    faces = load_faces(options.faces, split)
    known = load_labels(options.labels, faces).attributes(names)
    if options.seen:
        known = read_attributes(options.seen).over(known, faces.names, names)
    return faces.resized(size), known.nan_to_num(0.5)


A = TypeVar("A", bound=AdversarialHyperparameters)


def adversarial_options(
    about: str | None, presets: Mapping[str, A], arguments: Sequence[str] | None
) -> tuple[A, argparse.Namespace]:
    """:func:`~maskedit.training.options.read_options`, with labels that were given by eye."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--seen", type=Path, help="CSV of attributes given by eye, in place of measured ones")

    return read_options(about, presets, arguments, more=more)
