"""A synthetic set: pictures that a generator draws, and the regions that an ensemble sees in them."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maskedit.files import write_whole
from maskedit.protocols import LatentDistribution
from maskedit.training.generator import noises_for
from maskedit.training.loop import step_rng
from maskedit.training.pixel_ensemble import Features, PixelEnsemble, vote
from maskedit.types import Image


@dataclass(frozen=True)
class Source:
    """Where synthetic pictures come from: a generator, and the distribution of its latents."""

    features: Features
    latents: LatentDistribution
    spread: float

    @property
    def size(self) -> int:
        return self.features.generator.resolution

    def draw(self, count: int, rng: torch.Generator) -> tuple[Image, list[Float[Tensor, "b _ _ _"]]]:
        """Pictures that nobody has seen, and their features."""
        generator, own = self.features.generator, self.latents
        device = own.mean.device
        along = torch.randn(count, len(own.deviations), generator=rng).to(device) * (self.spread * own.deviations)
        latent = own.mean + (along @ own.components).unflatten(1, own.mean.shape)
        return self.features(latent, noises_for(generator, count, rng))


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
            images, features = source.draw(stop - start, step_rng(seed, -1 - start))
            with torch.no_grad():
                regions, uncertainty = vote(ensemble.maps(features, self.size))
            shown = rearrange(images, "b c h w -> b h w c").mul(255).round().byte()
            self.images[start:stop] = shown.cpu().numpy()
            self.regions[start:stop] = regions.cpu().numpy()
            self.uncertainty[start:stop] = uncertainty.cpu().numpy()
            if stop == self.count or (start // batch) % 25 == 24:
                for array in (self.images, self.regions, self.uncertainty):
                    array.flush()
                write_whole(self.folder / "made.json", str(stop))
                left = (time.monotonic() - clock) / (stop - begun) * (self.count - stop)
                print(f"synthetic pictures {stop} of {self.count}, left {left / 60:.1f} min", flush=True)

    def pair(self, rows: Int64[Tensor, " b"]) -> tuple[Float[Tensor, "b 3 h w"], UInt8[Tensor, "b h w"]]:
        """Pictures in [0, 1] and their regions."""
        own = rows.numpy()
        images = torch.from_numpy(np.ascontiguousarray(self.images[own]))
        return rearrange(images, "b h w c -> b c h w").float() / 255, torch.from_numpy(
            np.ascontiguousarray(self.regions[own])
        )
