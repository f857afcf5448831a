"""What the component analysis compares: the networks of Tables VII and VIII, and what they learn from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.faces import DATA
from maskedit.attributes import HAIR_COLOURS, REGIONS
from maskedit.models.adapters import AttributeClassifier, SegmentationParser
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.fcn import FCN
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.unet import UNet
from maskedit.models.networks.vgg import VGG, VGG16, VGG19
from maskedit.models.preprocess import Preprocess
from maskedit.training.augment import degrade, recolour
from maskedit.training.classifier import dyed_variants, known_of
from maskedit.training.faces import Faces, balanced
from maskedit.training.given_attributes import read_attributes
from maskedit.training.labels import SIZE, Labels
from maskedit.training.loop import step_rng
from maskedit.training.measured_attributes import MEASURED
from maskedit.training.parser import IMPORTANCE, augmented

NAMES = (*HAIR_COLOURS, *MEASURED)
"""The attributes that the classifiers learn: those with measured labels."""

VARIANTS = 16
"""How often each photo is moved, turned and dyed for the classifiers."""

Batch = Callable[[int], tuple[Tensor, Tensor]]
"""The pictures ``[b, 3, size, size]`` of a step, as bytes, and what is to be said of them."""

Says = Callable[[nn.Module, Tensor], Tensor]
"""What a network says of pictures in [0, 1]."""


def classifiers(narrower: int, size: int) -> Mapping[str, Callable[[], nn.Module]]:
    """The networks of Table VII; the VGGs with batch norm and without dropout, else so few steps teach them nothing.

    The tree has 64 channels where the others go up to 512 or 2048, so that an equal share of channels leaves it a
    small share of the weights: a second one has about as many as the ResNets.
    """
    width = 64 // narrower

    def from_pictures(network: Callable[..., nn.Module], **sizes: object) -> nn.Module:
        net = network(outputs=len(NAMES), **sizes)
        return AttributeClassifier(net, attributes=NAMES, preprocess=Preprocess(size=size, mean=0.5, std=0.25))

    def vgg(stages: Sequence[Sequence[int]]) -> Callable[[], nn.Module]:
        narrow = [[channels // narrower for channels in stage] for stage in stages]
        return partial(from_pictures, VGG, stages=narrow, hidden=1024 // narrower, batch_norm=True, dropout=0.0)

    def resnet(blocks: Sequence[int], bottleneck: bool) -> Callable[[], nn.Module]:
        return partial(from_pictures, ResNet, blocks=blocks, bottleneck=bottleneck, width=width)

    return {
        "VGG16": vgg(VGG16),
        "VGG19": vgg(VGG19),
        "ResNet34": resnet((3, 4, 6, 3), False),
        "ResNet50": resnet((3, 4, 6, 3), True),
        "ResNet101": resnet((3, 4, 23, 3), True),
        "tree": partial(AttributeTree, width=width, hidden=128 // narrower, size=size),
        "tree, 4 x wider": partial(AttributeTree, width=4 * width, hidden=512 // narrower, size=size),
    }


def parsers(narrower: int, size: int) -> Mapping[str, Callable[[], nn.Module]]:
    """The networks of Table VIII."""
    classes = len(REGIONS)

    def trunk(blocks: Sequence[int] = (3, 4, 6, 3)) -> ResNet:
        return ResNet(blocks=blocks, width=64 // narrower, dilated=True)

    def from_pictures(network: Callable[[], nn.Module]) -> nn.Module:
        regions = {region: (region,) for region in REGIONS}
        return SegmentationParser(
            network(), labels=REGIONS, regions=regions, preprocess=Preprocess(size=size, mean=0.5, std=0.25)
        )

    networks: dict[str, Callable[[], nn.Module]] = {
        "UNet": lambda: UNet(classes=classes, width=64 // narrower),
        "FCN-ResNet50": lambda: FCN(backbone=trunk(), classes=classes),
        "FCN-ResNet101": lambda: FCN(backbone=trunk((3, 4, 23, 3)), classes=classes),
        "DeepLabV3": lambda: DeepLabV3(backbone=trunk(), classes=classes, hidden=256 // narrower),
    }
    return {name: partial(from_pictures, network) for name, network in networks.items()}


def attribute_batches(faces: Faces, labels: Labels, size: int, batch: int, seed: int) -> Batch:
    """Photos as ``maskedit.training.classifier`` varies them, hair and lips dyed in half of them, and what is true."""
    known = known_of(faces, labels, NAMES, read_attributes(DATA / "seen_attributes.csv"))
    images, truths = dyed_variants(faces, labels, known, NAMES, size, VARIANTS, seed)

    @cache
    def pictures(step: int) -> tuple[Tensor, Tensor]:
        rng = step_rng(seed, step)
        rows = balanced(faces, 0.5, batch, rng)
        rows = rows + len(faces) * torch.randint(VARIANTS, rows.shape, generator=rng)
        photos = images[rows].float() / 255
        photos = torch.where(torch.rand(batch, 1, 1, 1, generator=rng) < 0.5, photos.flip(3), photos)
        return to_bytes(degrade(recolour(photos, rng, 0.4), rng, smallest=20)), truths[rows]

    return pictures


def region_batches(faces: Faces, labels: Labels, size: int, batch: int, seed: int) -> Batch:
    """Photos as ``maskedit.training.parser`` varies them, and the region of each pixel."""
    images = faces.resized(SIZE)

    @cache
    def pictures(step: int) -> tuple[Tensor, Tensor]:
        rng = step_rng(seed, step)
        rows = balanced(faces, 0.5, batch, rng)
        photos, _ = labels.dyed(images[rows].float() / 255, rows, 0.3, rng)
        photos, wanted = augmented(photos, labels.regions[rows], rng, size)
        return to_bytes(photos), wanted.argmax(1).byte()

    return pictures


def attribute_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy; present and absent count alike in each attribute, and what is not known counts nothing."""
    absent, present = ((wanted == value) / (wanted == value).sum(0).clamp(min=2) for value in (0, 1))
    smoothed = wanted.nan_to_num(0.5).clamp(0.03, 0.97)
    losses = F.binary_cross_entropy_with_logits(logits, smoothed, absent + present, reduction="none")
    return losses.sum(0).mean() / 2


def region_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy, small regions counting more."""
    return F.cross_entropy(logits, wanted.long(), torch.tensor(IMPORTANCE))


def regions_at(logits: Tensor, size: int) -> Tensor:
    """The region of each pixel ``[n, size, size]``."""
    return F.interpolate(logits, (size, size), mode="bilinear", align_corners=False).argmax(1).byte()


@dataclass(frozen=True)
class Table:
    """One of the two tables.

    Args:
        role: the field of :class:`maskedit.Models` that the networks fill.
        networks: (narrower, size) -> name -> maker.
        batches: (faces, labels, size, batch, seed) -> pictures of a step.
        says: (network, pictures in [0, 1]) -> logits of all attributes or regions.
        asked: what an edit asks at each step, to be timed.
        loss: (logits, what is to be said) -> number.
        told: logits -> what is kept of them.
        size: side of the pictures, in pixels.
        batch: pictures a step.
        half: the people that the networks learn from: not the judge's, for classifiers.
    """

    role: str
    networks: Callable[[int, int], Mapping[str, Callable[[], nn.Module]]]
    batches: Callable[[Faces, Labels, int, int, int], Batch]
    says: Says
    asked: Says
    loss: Callable[[Tensor, Tensor], Tensor]
    told: Callable[[Tensor], Tensor]
    size: int
    batch: int
    half: Literal["a"] | None = None


TABLES = {
    "classifiers": Table(
        role="classifier",
        networks=classifiers,
        batches=attribute_batches,
        says=lambda net, x: net.classify(x, NAMES),
        asked=lambda net, x: net.classify(x, ["smiling"]),
        loss=attribute_loss,
        told=lambda logits: logits,
        size=64,
        batch=32,
        half="a",
    ),
    "parsers": Table(
        role="parser",
        networks=parsers,
        batches=region_batches,
        says=lambda net, x: net.logits(x),
        asked=lambda net, x: net.parse(x, ["hair"]),
        loss=region_loss,
        told=lambda logits: regions_at(logits, SIZE),
        size=96,
        batch=16,
    ),
}


def to_bytes(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] as bytes."""
    return (pictures * 255).round().byte()
