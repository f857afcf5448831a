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
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from maskedit.attributes import REGIONS
from maskedit.errors import InputError
from maskedit.memory import keep_memory
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.portraits import PortraitParser
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.weights.bundled import load
from maskedit.problem import Problem
from maskedit.protocols import LatentDistribution, Models
from maskedit.recipes import plausible
from maskedit.schedule import Schedule
from maskedit.solve import run
from maskedit.training.augment import crop, placement, uniform
from maskedit.training.faces import Faces, load_faces
from maskedit.training.labels import Labels, load_labels
from maskedit.training.loop import Kept, draws, follow, half_precision, train
from maskedit.training.parser import RegionNet, held_out_overlap, region_sheet
from maskedit.training.protocol import Protocol, number, read_options
from maskedit.types import Image, Latent


@dataclass(frozen=True, kw_only=True)
class DatasetGAN(Protocol):
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
    "datasetgan": DatasetGAN(),
    "datasetgan-small": DatasetGAN(
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


class Features:
    """What a generator's convolutions give for some latents, from the coarsest to the finest.

    Args:
        generator: any StyleGAN2; it is looked at by hooks, and left as it is.
    """

    def __init__(self, generator: StyleGAN2) -> None:
        self.generator = generator
        self.channels = tuple(conv.weight.shape[0] for conv in generator.convs)

    @torch.no_grad()
    def __call__(
        self, latent: Latent, noises: Sequence[Float[Tensor, "b 1 _ _"]] = ()
    ) -> tuple[Image, list[Float[Tensor, "b _ _ _"]]]:
        """The pictures, clamped to [0, 1], and the features of each convolution at its own size."""
        maps: list[Tensor] = []
        hooks = [
            conv.register_forward_hook(lambda _, __, out: maps.append(out[0].float())) for conv in self.generator.convs
        ]
        try:
            image = self.generator.synthesize(latent, noises)
        finally:
            for hook in hooks:
                hook.remove()
        return image.float().clamp(0, 1), maps


def enlarged(maps: Float[Tensor, "b c _ _"], size: int) -> Float[Tensor, "b c size size"]:
    return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)


class PixelEnsemble(nn.Module):
    """Several networks of three linear layers that say, each for itself, what a pixel shows from its features.

    Args:
        inputs: channels of the features of each convolution; together they are a pixel's features.
        networks: how many.
        hidden: width of the first layer; the second is a quarter of that.
        classes: how many regions.
    """

    def __init__(self, *, inputs: Sequence[int], networks: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.inputs, self.networks = tuple(inputs), networks
        wide, narrow = networks * hidden, networks * (hidden // 4)
        self.first = nn.Conv1d(networks * sum(inputs), wide, 1, groups=networks)
        self.first_norm = nn.BatchNorm1d(wide)
        self.second = nn.Conv1d(wide, narrow, 1, groups=networks)
        self.second_norm = nn.BatchNorm1d(narrow)
        self.third = nn.Conv1d(narrow, networks * classes, 1, groups=networks)

    def forward(self, pixels: Float[Tensor, "networks n features"]) -> Float[Tensor, "networks n classes"]:
        """Logits of pixels, for each network its own."""
        x = self.first(pixels.permute(1, 0, 2).flatten(1)[:, :, None])
        return self._rest(x)[:, :, 0].unflatten(1, (self.networks, -1)).permute(1, 0, 2)

    def maps(
        self, features: Sequence[Float[Tensor, "b _ _ _"]], size: int
    ) -> Float[Tensor, "b networks classes size size"]:
        """Logits of whole pictures, the same pixels for every network.

        The first layer is linear, and so is enlarging: it is applied to each convolution's features at their own size,
        which costs a fraction, and what it gives is enlarged and summed.
        """
        weights = self.first.weight[:, :, 0].split(self.inputs, dim=1)
        by_size: dict[int, list[tuple[Tensor, Tensor]]] = {}
        for own, weight in zip(features, weights, strict=True):
            by_size.setdefault(own.shape[-1], []).append((own, weight))
        x: Tensor | None = None
        for group in by_size.values():
            own, weight = (torch.cat(parts, 1) for parts in zip(*group, strict=True))
            part = F.conv2d(own, weight[:, :, None, None])
            part = part if part.shape[-1] == size else enlarged(part, size)
            x = part if x is None else x.add_(part)
        assert x is not None
        x = x.flatten(2).add_(self._bias())
        return self._rest(x).unflatten(1, (self.networks, -1)).unflatten(3, (size, size))

    def _bias(self) -> Float[Tensor, "wide 1"]:
        assert self.first.bias is not None
        return self.first.bias[:, None]

    def _rest(self, x: Float[Tensor, "b wide n"]) -> Float[Tensor, "b out n"]:
        x = self.second_norm(F.relu(self.second(self.first_norm(F.relu(x)))))
        return self.third(x)


def vote(logits: Float[Tensor, "b networks classes h w"]) -> tuple[UInt8[Tensor, "b h w"], Float[Tensor, " b"]]:
    """What most networks say of each pixel, and how much they disagree about each picture.

    The disagreement is the Jensen-Shannon divergence of the networks' predictions, in nats, averaged over the pixels:
    the entropy of their mean less the mean of their entropies.
    """
    chances = logits.softmax(2)
    counts = F.one_hot(chances.argmax(2), chances.shape[2]).sum(1)
    mean = chances.mean(1)
    # Ties go to the class that the networks together find likelier.
    regions = (counts + 0.5 * mean.movedim(1, -1)).argmax(-1).byte()
    divergence = torch.special.entr(mean).sum(1) - torch.special.entr(chances).sum(2).mean(1)
    return regions, divergence.mean((1, 2))


def certain(uncertainty: Float[Tensor, " n"], dropped: float) -> Int64[Tensor, " kept"]:
    """Rows without the ``dropped`` share that is most uncertain, in their order."""
    keep = len(uncertainty) - round(dropped * len(uncertainty))
    return uncertainty.argsort(stable=True)[:keep].sort().values


def fitted(models: Models, photos: Image, steps: int) -> Latent:
    """Latents of photos: the encoder's, then those that fit best, held to where latents of real faces lie."""
    fit = plausible("smiling", steps=(steps, 1)).stages[0]
    found = []
    for part in photos.split(16):
        problem = Problem(models, part, start="encoder")
        found.append(run(problem, Schedule(fit, blend=None)).latent.detach())
    return torch.cat(found)


def shrunk(regions: UInt8[Tensor, "n h w"], size: int) -> UInt8[Tensor, "n size size"]:
    """Region maps at another size: the region that most of a pixel's area had."""
    if regions.shape[-1] == size:
        return regions
    maps = F.one_hot(regions.long(), len(REGIONS)).movedim(-1, 1).float()
    return F.interpolate(maps, size=(size, size), mode="area").argmax(1).byte()


@dataclass(frozen=True)
class Source:
    """Where synthetic pictures come from: a generator, and the distribution of its latents."""

    features: Features
    latents: LatentDistribution
    spread: float

    @property
    def size(self) -> int:
        return self.features.generator.resolution

    def draw(self, count: int, random: torch.Generator) -> tuple[Image, list[Float[Tensor, "b _ _ _"]]]:
        """Pictures that nobody has seen, and their features."""
        generator, own = self.features.generator, self.latents
        device = own.mean.device
        along = torch.randn(count, len(own.deviations), generator=random).to(device) * (self.spread * own.deviations)
        latent = own.mean + (along @ own.components).unflatten(1, own.mean.shape)
        noises = [torch.randn(count, 1, *shape, generator=random).to(device) for shape in generator.noise_shapes]
        return self.features(latent, noises)


def train_ensemble(
    features: Features, latents: Latent, regions: UInt8[Tensor, "n h w"], protocol: DatasetGAN, out: Path, every: int
) -> PixelEnsemble:
    """The ensemble, trained on the pixels of labelled pictures."""
    device, size = latents.device, features.generator.resolution
    torch.manual_seed(protocol.seed)
    ensemble = PixelEnsemble(
        inputs=features.channels, networks=protocol.networks, hidden=protocol.hidden, classes=len(REGIONS)
    ).to(device)
    adam = torch.optim.Adam(ensemble.parameters(), protocol.pixel_rate)
    wanted = shrunk(regions, size).to(device).flatten().long()
    # A picture's features at a time; what is kept of them are their own sizes, not the enlarged ones.
    levels = [torch.cat(maps) for maps in zip(*(features(one)[1] for one in latents.split(8)), strict=True)]

    def pixels(rows: Int64[Tensor, " m"]) -> Float[Tensor, "m features"]:
        picture, place = rows // size**2, rows % size**2
        return torch.cat([bilinear(maps, picture, place // size, place % size, size) for maps in levels], 1)

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        shape = (protocol.networks, protocol.pixel_batch)
        rows = torch.randint(len(wanted), shape, generator=random).to(device)
        ensemble.train()
        logits = ensemble(pixels(rows.flatten()).unflatten(0, shape))
        # Summed over the networks, so that each learns as if it were alone.
        loss = F.cross_entropy(logits.flatten(0, 1), wanted[rows.flatten()]) * protocol.networks
        adam.zero_grad()
        loss.backward()
        adam.step()
        right = (logits.argmax(2) == wanted[rows]).float().mean()
        return {"loss": loss.detach() / protocol.networks, "right": right}

    kept: Kept = {"average": ensemble, "adam": adam}
    train(step, kept, steps=protocol.pixel_steps, out=out, batch=protocol.pixel_batch, every=every)
    return ensemble.eval().requires_grad_(False)


def bilinear(
    maps: Float[Tensor, "b c h w"],
    picture: Int64[Tensor, " m"],
    y: Int64[Tensor, " m"],
    x: Int64[Tensor, " m"],
    size: int,
) -> Float[Tensor, "m c"]:
    """Single pixels of :func:`enlarged` maps."""
    side = maps.shape[-1]

    def between(at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        place = ((at + 0.5) * (side / size) - 0.5).clamp(0, side - 1)
        low = place.floor().long()
        return low, (low + 1).clamp(max=side - 1), (place - low)[:, None]

    (y0, y1, v), (x0, x1, u) = between(y), between(x)
    rows = maps.permute(0, 2, 3, 1)
    upper = rows[picture, y0, x0].lerp(rows[picture, y0, x1], u)
    return upper.lerp(rows[picture, y1, x0].lerp(rows[picture, y1, x1], u), v)


class Synthetic:
    """A synthetic set on disk, made batch by batch: pictures, regions, and how uncertain the ensemble is.

    Args:
        folder: for three arrays, and for the number of pictures made so far.
        count: how many there shall be.
        size: their side in pixels.
    """

    def __init__(self, folder: Path, *, count: int, size: int) -> None:
        self.folder, self.count, self.size = folder, count, size
        folder.mkdir(parents=True, exist_ok=True)
        self.images = self._array("images", (count, size, size, 3), np.uint8)
        self.regions = self._array("regions", (count, size, size), np.uint8)
        self.uncertainty = self._array("uncertainty", (count,), np.float32)

    def _array(self, name: str, shape: tuple[int, ...], kind: type) -> np.memmap:
        path = self.folder / f"{name}.npy"
        mode = "r+" if path.exists() else "w+"
        return np.lib.format.open_memmap(path, mode=mode, dtype=kind, shape=shape)  # type: ignore[return-value, unused-ignore]

    @property
    def made(self) -> int:
        path = self.folder / "made.json"
        return int(json.loads(path.read_text())) if path.exists() else 0

    def make(self, source: Source, ensemble: PixelEnsemble, seed: int, batch: int = 8) -> None:
        """The pictures that are not there yet. Each batch has its own random numbers, so that it may stop anywhere."""
        clock, begun = time.monotonic(), self.made
        for start in range(begun, self.count, batch):
            stop = min(start + batch, self.count)
            images, features = source.draw(stop - start, draws(seed, -1 - start))
            with torch.no_grad():
                regions, uncertainty = vote(ensemble.maps(features, self.size))
            self.images[start:stop] = images.permute(0, 2, 3, 1).mul(255).round().byte().cpu().numpy()
            self.regions[start:stop] = regions.cpu().numpy()
            self.uncertainty[start:stop] = uncertainty.cpu().numpy()
            if stop == self.count or (start // batch) % 25 == 24:
                for array in (self.images, self.regions, self.uncertainty):
                    array.flush()
                partial = self.folder / "made.partial"
                partial.write_text(str(stop))
                os.replace(partial, self.folder / "made.json")
                left = (time.monotonic() - clock) / (stop - begun) * (self.count - stop)
                print(f"synthetic pictures {stop} of {self.count}, left {left / 60:.1f} min", flush=True)

    def pair(self, rows: Int64[Tensor, " b"]) -> tuple[Float[Tensor, "b 3 h w"], UInt8[Tensor, "b h w"]]:
        """Pictures in [0, 1] and their regions."""
        own = rows.numpy()
        images = torch.from_numpy(np.ascontiguousarray(self.images[own])).permute(0, 3, 1, 2).float() / 255
        return images, torch.from_numpy(np.ascontiguousarray(self.regions[own]))


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


PARSERS: dict[str, Callable[[DatasetGAN], DeepLabParser | PortraitParser]] = {
    "deeplab": lambda protocol: DeepLabParser(narrower=protocol.narrower, size=protocol.size),
    "portrait": lambda protocol: PortraitParser(size=protocol.size),
}


def moved(
    images: Float[Tensor, "b 3 h w"],
    regions: UInt8[Tensor, "b h w"],
    protocol: DatasetGAN,
    random: torch.Generator,
    size: int,
) -> tuple[Float[Tensor, "b 3 size size"], Float[Tensor, "b regions size size"]]:
    """Pictures and the shares of their regions, mirrored and moved by affine maps together."""
    b = len(images)
    place = placement(
        0.5 + uniform(-protocol.shift, protocol.shift, b, 2, random=random),
        uniform(-protocol.zoom, protocol.zoom, b, random=random).exp(),
        uniform(-protocol.degrees, protocol.degrees, b, random=random),
        (torch.rand(b, generator=random) < 0.5).float(),
    )
    maps = F.one_hot(regions.long(), len(REGIONS)).permute(0, 3, 1, 2).to(images.dtype)
    both = crop(torch.cat([images, maps], 1), place, size)
    return both[:, :3].clamp(0, 1), both[:, 3:]


def train_parser(
    synthetic: Synthetic,
    protocol: DatasetGAN,
    out: Path,
    device: torch.device,
    every: int,
    report: Callable[[RegionNet, int], None] | None = None,
) -> DeepLabParser | PortraitParser:
    """The averaged parser, trained on what is certain of a synthetic set."""
    if protocol.parser not in PARSERS:
        raise InputError("no such parser", expected=" or ".join(PARSERS), actual=protocol.parser)
    torch.manual_seed(protocol.seed)
    net = PARSERS[protocol.parser](protocol).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    average, size = deepcopy(net), protocol.size
    adam = torch.optim.Adam(net.parameters(), protocol.rate)
    rows = certain(torch.from_numpy(np.array(synthetic.uncertainty)), protocol.dropped)
    steps = math.ceil(protocol.epochs * len(rows) / protocol.batch)

    def step(i: int) -> dict[str, Tensor]:
        random = draws(protocol.seed, i)
        torch.manual_seed(protocol.seed * 1_000_007 + i)  # dropout draws from the global generator
        chosen = rows[torch.randint(len(rows), (protocol.batch,), generator=random)]
        images, wanted = moved(*synthetic.pair(chosen), protocol, random, size)
        net.train()
        with half_precision(device):
            found = net.logits(images.to(device, memory_format=torch.channels_last))
        loss = F.cross_entropy(found.float(), wanted.to(device))
        adam.zero_grad()
        loss.backward()
        adam.step()
        follow(average, net, protocol.average, i)
        return {"loss": loss.detach()}

    kept: Kept = {"net": net, "average": average, "adam": adam}
    told = None if report is None else (lambda done: report(average, done))
    train(step, kept, steps=steps, out=out, batch=protocol.batch, report=told, every=every)
    return average.eval()


def labelled_samples(
    models: Models, faces: Faces, labels: Labels, protocol: DatasetGAN, out: Path
) -> tuple[Latent, UInt8[Tensor, "n h w"]]:
    """Latents and regions of a few labelled photos, kept in ``out``."""
    if not out.exists():
        rows = torch.randperm(len(faces), generator=draws(protocol.seed, -1))[: protocol.labelled].sort().values
        photos = faces.resized(models.generator.resolution)[rows].float() / 255
        latents = fitted(models, photos.to(device_of_models(models)), protocol.fit_steps)
        partial = out.with_suffix(".partial.npz")
        np.savez(partial, latents=latents.cpu().numpy(), regions=labels.regions[rows].numpy())
        partial.replace(out)
    return read_samples(out)


def device_of_models(models: Models) -> torch.device:
    assert models.latents is not None
    return models.latents.mean.device


def read_samples(path: Path) -> tuple[Latent, UInt8[Tensor, "n h w"]]:
    """Latents and regions of labelled pictures.

    Raises:
        InputError: if they are not there.
    """
    if not path.exists():
        raise InputError(f"there are no labelled pictures {path}", expected="an npz with latents and regions")
    with np.load(path) as arrays:
        if missing := {"latents", "regions"} - set(arrays.files):
            raise InputError(f"{path} lacks {' and '.join(sorted(missing))}", expected="latents and regions")
        latents, regions = torch.from_numpy(arrays["latents"]).float(), torch.from_numpy(arrays["regions"]).byte()
    if len(latents) != len(regions):
        raise InputError(f"{path} has not one map for each latent", actual=f"{len(latents)} and {len(regions)}")
    return latents, regions


def main(arguments: list[str] | None = None) -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--samples", type=Path, help="labelled pictures of the generator, instead of labelled photos"
        )

    protocol, options = read_options(__doc__, PRESETS, arguments, more=more)
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
        latents, regions = labelled_samples(models, faces, labels, protocol, options.out / "samples.npz")

    features = Features(models.generator)
    ensemble = train_ensemble(
        features, latents.to(options.device), regions, protocol, options.out / "ensemble", options.every
    )
    synthetic = Synthetic(options.out / "synthetic", count=protocol.synthetic, size=models.generator.resolution)
    synthetic.make(Source(features, models.latents, protocol.spread), ensemble, protocol.seed)

    def report(net: RegionNet, done: int) -> None:
        shares = held_out_overlap(net, held_out, held_out_labels, synthetic.size)
        told = " ".join(f"{name} {share:.3f}" for name, share in zip(REGIONS, shares, strict=True))
        print(f"overlap after {done}: {shares.mean():.3f}; {told}", flush=True)
        region_sheet(options.out / "sheet.png", net, held_out, held_out_labels)

    train_parser(synthetic, protocol, options.out / "parser", options.device, options.every, report)


if __name__ == "__main__":
    main()
