"""Train a parser from a few labelled pictures: ``maskedit train parser --preset datasetgan``.

The paper's protocol, DatasetGAN (Zhang et al. 2021). A generator's own features tell what each pixel shows: upsampled
to the picture's size and stacked, they feed an ensemble of small networks, pixel by pixel, that learns from a handful
of labelled pictures. The ensemble labels a synthetic set of any size, those it disagrees about most are dropped, and
the parser learns from the rest.

The labelled pictures must be the generator's own. By default they are made from labelled photos: encoded, fitted, and
given the photos' measured regions. ``--samples FILE`` takes others instead: an ``npz`` with ``latents``
``[n, layers, dim]`` and ``regions`` ``[n, size, size]``, the number of each pixel's region.

``RUN`` then holds, each resumable by the same command, ``samples.npz``, ``ensemble/``, ``synthetic/``, ``parser/``.
"""

import argparse
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maskedit.attributes import REGIONS
from maskedit.errors import InputError
from maskedit.files import replacing
from maskedit.memory import keep_memory
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.portraits import PortraitParser
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.weights.bundled import load
from maskedit.problem import Problem
from maskedit.protocols import Models
from maskedit.recipes import plausible
from maskedit.schedule import Schedule
from maskedit.solve import run
from maskedit.training.augment import one_hot, random_affine, warp_affine
from maskedit.training.faces import Faces, load_faces
from maskedit.training.labels import Labels, load_labels
from maskedit.training.loop import Training, half_precision, step_rng, train
from maskedit.training.options import Hyperparameters, number, read_options
from maskedit.training.parser import RegionNet, held_out_overlap, region_sheet
from maskedit.training.pixel_ensemble import Features, certain, train_ensemble
from maskedit.training.synthetic import Source, Synthetic
from maskedit.types import Image, Latent


@dataclass(frozen=True, kw_only=True)
class DatasetGANHyperparameters(Hyperparameters):
    """The numbers of the protocol; by default the paper's, and DatasetGAN's where the paper names none."""

    labelled: int = number(16, "labelled pictures")
    fit_steps: int = number(100, "steps that fit each labelled photo's latent")
    networks: int = number(10, "networks in the ensemble")
    hidden: int = number(128, "width of each one's first layer; its second is a quarter of that")
    pixel_batch: int = number(64, "pixels a step, for each network its own")
    pixel_steps: int = number(5000, "steps of the ensemble")
    pixel_rate: float = number(1e-3, "learning rate of the ensemble's Adam")
    synthetic: int = number(100_000, "synthetic pictures")
    dropped: float = number(0.1, "share of them that is dropped: the most uncertain")
    spread: float = number(0.7, "standard deviations of the latents, over those of real faces (truncation)")
    parser: str = number("deeplab", "deeplab (ResNet-50 trunk), or portrait: the small one of the bundled models")
    narrower: int = number(1, "divides the channels of deeplab")
    size: int = number(512, "side of the pictures that deeplab sees, in pixels")
    batch: int = number(24, "pictures a step")
    rate: float = number(3e-4, "learning rate of the parser's Adam")
    epochs: int = number(20, "times that the parser sees each synthetic picture; the paper's number is not legible")
    degrees: float = number(15.0, "largest turn")
    shift: float = number(0.1, "largest shift, over the side")
    zoom: float = number(0.2, "largest change of the logarithm of the scale")


PRESETS = {
    "datasetgan": DatasetGANHyperparameters(),
    "datasetgan-small": DatasetGANHyperparameters(
        labelled=64,
        pixel_batch=256,
        pixel_steps=600,
        synthetic=2000,
        spread=1.0,
        parser="portrait",
        size=128,
        epochs=12,
    ),
}


def labelled_samples(
    models: Models, faces: Faces, labels: Labels, hyper: DatasetGANHyperparameters, out: Path
) -> tuple[Latent, UInt8[Tensor, "n h w"]]:
    """Latents and regions of a few labelled photos, kept in ``out``."""
    if not out.exists():
        rows = torch.randperm(len(faces), generator=step_rng(hyper.seed, -1))[: hyper.labelled].sort().values
        photos = faces.resized(models.generator.resolution)[rows].float() / 255
        latents = fitted(models, photos.to(device_of_models(models)), hyper.fit_steps)
        with replacing(out) as file:
            np.savez(file, latents=latents.cpu().numpy(), regions=labels.regions[rows].numpy())
    return read_samples(out)


def device_of_models(models: Models) -> torch.device:
    assert models.latents is not None
    return models.latents.mean.device


def read_samples(path: Path) -> tuple[Latent, UInt8[Tensor, "n h w"]]:
    """Latents and regions of labelled pictures.

    Raises:
        InputError: if they are not there, or no such file.
    """
    if not path.exists():
        raise InputError(f"there are no labelled pictures {path}", expected="an npz with latents and regions")
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read", expected="an npz with latents and regions", actual=str(error)
        ) from None
    if missing := {"latents", "regions"} - arrays.keys():
        raise InputError(f"{path} lacks {' and '.join(sorted(missing))}", expected="latents and regions")
    latents, regions = torch.from_numpy(arrays["latents"]).float(), torch.from_numpy(arrays["regions"]).byte()
    if len(latents) != len(regions):
        raise InputError(f"{path} has not one map for each latent", actual=f"{len(latents)} and {len(regions)}")
    return latents, regions


def fitted(models: Models, photos: Image, steps: int) -> Latent:
    """Latents of photos: the encoder's, then those that fit best, held to where latents of real faces lie."""
    fit = plausible("smiling", steps=(steps, 1)).stages[0]
    found = []
    for part in photos.split(16):
        problem = Problem(models, part, start="encoder")
        found.append(run(problem, Schedule(fit, blend=None)).latent.detach())
    return torch.cat(found)


class DeepLabParser(nn.Module):
    """DeepLabV3 on pictures in [-1, 1], as in the released program."""

    def __init__(self, *, narrower: int, size: int) -> None:
        super().__init__()
        self.size = size
        backbone = ResNet(width=64 // narrower, dilated=True)
        self.network = DeepLabV3(backbone=backbone, classes=len(REGIONS), hidden=256 // narrower)

    def logits(self, image: Image) -> Float[Tensor, "b regions size size"]:
        small = F.interpolate(image, size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=True)
        return self.network(small * 2 - 1)


PARSERS: dict[str, Callable[[DatasetGANHyperparameters], DeepLabParser | PortraitParser]] = {
    "deeplab": lambda hyper: DeepLabParser(narrower=hyper.narrower, size=hyper.size),
    "portrait": lambda hyper: PortraitParser(size=hyper.size),
}


def moved(
    images: Float[Tensor, "b 3 h w"],
    regions: UInt8[Tensor, "b h w"],
    hyper: DatasetGANHyperparameters,
    rng: torch.Generator,
    size: int,
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b regions size size"]]:
    """Pictures and the shares of their regions, mirrored and moved by affine maps together."""
    place = random_affine(len(images), rng, shift=hyper.shift, zoom=(-hyper.zoom, hyper.zoom), degrees=hyper.degrees)
    both = warp_affine(torch.cat([images, one_hot(regions).to(images.dtype)], 1), place, size)
    return both[:, :3].clamp(0, 1), both[:, 3:]


def parser_training(
    synthetic: Synthetic,
    hyper: DatasetGANHyperparameters,
    device: torch.device,
    report: Callable[[nn.Module, int], None] | None = None,
) -> Training:
    """Network, data, loss and optimiser of a parser that learns what is certain of a synthetic set."""
    if hyper.parser not in PARSERS:
        raise InputError("no such parser", expected=" or ".join(PARSERS), actual=hyper.parser)
    torch.manual_seed(hyper.seed)
    net = PARSERS[hyper.parser](hyper)

    rows = certain(torch.from_numpy(np.array(synthetic.uncertainty)), hyper.dropped)

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        chosen = rows[torch.randint(len(rows), (hyper.batch,), generator=rng)]
        images, wanted = moved(*synthetic.pair(chosen), hyper, rng, hyper.size)
        with half_precision(device):
            found = net.logits(images.to(device, memory_format=torch.channels_last))
        return {"loss": F.cross_entropy(found.float(), wanted.to(device))}

    return Training(
        network=net,
        optimizer=torch.optim.Adam(net.parameters(), hyper.rate),
        clip=None,
        loss=loss,
        steps=math.ceil(hyper.epochs * len(rows) / hyper.batch),
        report=report,
    )


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--samples", type=Path, help="labelled pictures of the generator, instead of labelled photos"
        )

    hyper, options = read_options(__doc__, PRESETS, arguments, more=more)
    keep_memory()
    models = load(device=options.device)
    assert isinstance(models.generator, StyleGAN2)
    assert models.latents is not None
    held_out = load_faces(options.faces, "test")
    held_out_labels = load_labels(options.labels, held_out)
    if options.samples:
        latents, regions = read_samples(options.samples)
    else:
        faces = load_faces(options.faces, "train")
        labels = load_labels(options.labels, faces)
        latents, regions = labelled_samples(models, faces, labels, hyper, options.out / "samples.npz")

    features = Features(models.generator)
    ensemble = train_ensemble(
        features,
        latents.to(options.device),
        regions,
        replace(hyper, batch=hyper.pixel_batch),
        networks=hyper.networks,
        hidden=hyper.hidden,
        steps=hyper.pixel_steps,
        rate=hyper.pixel_rate,
        out=options.out / "ensemble",
        every=options.every,
    )
    synthetic = Synthetic(options.out / "synthetic", count=hyper.synthetic, size=models.generator.resolution)
    synthetic.make(Source(features, models.latents, hyper.spread), ensemble, hyper.seed)

    def report(ema: nn.Module, done: int) -> None:
        assert isinstance(ema, RegionNet)
        shares = held_out_overlap(ema, held_out, held_out_labels, synthetic.size)
        told = " ".join(f"{name} {share:.3f}" for name, share in zip(REGIONS, shares, strict=True))
        print(f"overlap after {done}: {shares.mean():.3f}; {told}", flush=True)
        region_sheet(options.out / "sheet.png", ema, held_out, held_out_labels)

    what = parser_training(synthetic, hyper, options.device, report)
    train(what, hyper, out=options.out / "parser", every=options.every, device=options.device)


if __name__ == "__main__":
    main()
