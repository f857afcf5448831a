"""The small networks of the bundled portrait models, apart from their generator (StyleGAN2).

All take RGB in [0, 1] at any size and resize it to their own; in evaluation mode every image is independent of
the others.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.attributes import HAIR_COLOURS, HAIR_SHAPES, REGIONS
from maskedit.models.preprocess import Preprocess, resize_smoothly
from maskedit.models.region_labels import positions
from maskedit.types import Image, Latent, Logits

BRANCHES = {
    "hair": (*HAIR_COLOURS, *HAIR_SHAPES),
    "mouth": ("wearing_lipstick", "smiling", "mouth_slightly_open"),
    "eyebrows": ("bushy_eyebrows", "arched_eyebrows"),
    "nose": ("pointy_nose", "big_nose"),
    "eyes": ("narrow_eyes",),
    "skin": ("pale_skin", "young"),
}
"""The attributes that the bundled classifier tells, by the branch that tells them."""


class Conv(nn.Sequential):
    """Convolution, batch normalisation, rectifier."""

    def __init__(self, *, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.1),
        )


class Residual(nn.Module):
    """Two convolutions around which the input passes unchanged."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(inputs=channels, outputs=channels), Conv(inputs=channels, outputs=channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.body(x)


class Hourglass(nn.Module):
    """Features at half, a quarter, an eighth ... of the input's size, brought back up to one of them.

    Args:
        widths: channels at 1/2, 1/4, 1/8, ...
        finest: which of them the result has: 0 for 1/2, 1 for 1/4, ...
        depth: residual blocks at each size but the first.
    """

    def __init__(self, *, widths: Sequence[int], finest: int, depth: int = 1) -> None:
        super().__init__()
        self.finest = finest
        self.downs = nn.ModuleList()
        before = 3
        for level, width in enumerate(widths):
            blocks = [Residual(channels=width) for _ in range(depth if level else 0)]
            self.downs.append(nn.Sequential(Conv(inputs=before, outputs=width, stride=2), *blocks))
            before = width
        self.ups = nn.ModuleList(
            Conv(inputs=widths[level + 1] + widths[level], outputs=widths[level])
            for level in range(finest, len(widths) - 1)
        )

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        levels = []
        for down in self.downs:
            x = down(x)
            levels.append(x)
        for level in range(len(levels) - 2, self.finest - 1, -1):
            x = F.interpolate(x, size=levels[level].shape[-2:], mode="bilinear", align_corners=False)
            x = self.ups[level - self.finest](torch.cat([x, levels[level]], 1))
        return x


class LandmarkNet(nn.Module):
    """Finds the usual 68 points of a face in a loose square crop around it.

    Each point is the centre of mass of a map of probabilities at a quarter of the crop's size.

    Args:
        size: side in pixels that crops are brought to.
        widths: channels at 1/2, 1/4, ... of that.
        points: how many points.
    """

    def __init__(self, *, size: int = 96, widths: Sequence[int] = (24, 48, 72, 96), points: int = 68) -> None:
        super().__init__()
        self.size = size
        self.preprocess = Preprocess(size=size, resize="smooth", mean=0.5)
        self.trunk = Hourglass(widths=widths, finest=1)
        self.head = nn.Conv2d(widths[1], points, 1)

    def landmarks(self, crop: Image) -> Float[Tensor, "b points 2"]:
        """Points (x, y) as fractions of the crop's side.

        The crop should be a square 4.2 eye distances wide around the tip of the nose (1.6 times the box of
        scikit-image's frontal-face cascade, a tenth of the box below its middle), give or take a fifth in size, a
        tenth in place and 30 degrees in turn.
        """
        maps = self.head(self.trunk(self.preprocess(crop))).to(crop.dtype)
        chances = maps.flatten(2).softmax(2).view_as(maps)
        h, w = maps.shape[-2:]
        x = (torch.arange(w, device=maps.device, dtype=maps.dtype) + 0.5) / w
        y = (torch.arange(h, device=maps.device, dtype=maps.dtype) + 0.5) / h
        centres = einsum(chances, x, "b n h w, w -> b n"), einsum(chances, y, "b n h w, h -> b n")
        return rearrange(list(centres), "xy b n -> b n xy")

    forward = landmarks


class PortraitParser(nn.Module):
    """Says which pixels belong to which region; a :class:`maskedit.protocols.Parser`.

    Args:
        regions: their names.
        size: side in pixels that images are brought to, and that the probabilities have.
        widths: channels at 1/2, 1/4, ... of that.
    """

    def __init__(
        self, *, regions: Sequence[str] = REGIONS, size: int = 128, widths: Sequence[int] = (16, 32, 64, 96)
    ) -> None:
        super().__init__()
        self.regions, self.size = tuple(regions), size
        self.preprocess = Preprocess(size=size, resize="smooth", mean=0.5)
        self.trunk = Hourglass(widths=widths, finest=0)
        self.head = nn.Conv2d(widths[0], len(self.regions), 1)

    def logits(self, image: Image) -> Float[Tensor, "b regions size size"]:
        """One map per region; their softmax over the regions is what ``parse`` gives."""
        maps = self.head(self.trunk(self.preprocess(image))).to(image.dtype)
        return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)

    def parse(self, image: Image, regions: Sequence[str]) -> Float[Tensor, "b regions size size"]:
        """Probabilities ``[b, len(regions), size, size]``.

        Raises:
            InputError: if a region is not among ``self.regions``.
        """
        return self.logits(image).softmax(1)[:, positions(regions, self.regions, "region")]


class PortraitEncoder(nn.Module):
    """Predicts W+ latents; a :class:`maskedit.protocols.Encoder`.

    An affine function of a photo's principal components: with a thousand photos to learn from, convolutions learn the
    photos by heart, and principal components do not.

    Args:
        layers: how many vectors a latent has.
        dim: size of each.
        size: side in pixels that images are brought to.
        components: how many principal components are looked at.
    """

    mean: Float[Tensor, " pixels"]
    basis: Float[Tensor, "components pixels"]

    def __init__(self, *, layers: int, dim: int, size: int = 32, components: int = 512) -> None:
        super().__init__()
        self.latent_shape, self.size = (layers, dim), size
        self.register_buffer("mean", torch.zeros(3 * size * size))
        self.register_buffer("basis", torch.zeros(components, 3 * size * size))
        self.expand = nn.Linear(components, layers * dim)
        nn.init.zeros_(self.expand.weight)

    @torch.no_grad()
    def look_at(self, photos: Image) -> None:
        """Take mean and principal components from these photos and their mirror images.

        A component is divided by the root of its deviation: between plain ones, of which the last would hardly learn,
        and white ones, in which the last would be mostly noise.
        """
        small = resize_smoothly(photos, self.size)
        pixels = rearrange([small, small.flip(3)], "sides n c h w -> (sides n) (c h w)")
        self.mean.copy_(pixels.mean(0))
        _, values, directions = torch.linalg.svd(pixels - self.mean, full_matrices=False)
        deviations = values[: len(self.basis), None].clamp(min=1e-3 * float(values[0])) / len(pixels) ** 0.5
        self.basis.copy_(3 * directions[: len(self.basis)] / (deviations * deviations[0]).sqrt())

    def encode(self, image: Image) -> Latent:
        """Latents ``[b, layers, dim]``."""
        pixels = rearrange(resize_smoothly(image, self.size), "b c h w -> b (c h w)")
        latent = self.expand((pixels - self.mean) @ self.basis.T).to(image.dtype)
        return rearrange(latent, "b (layers dim) -> b layers dim", layers=self.latent_shape[0])

    forward = encode


class PortraitClassifier(nn.Module):
    """Says which attributes a face has, in branches from one trunk; a :class:`maskedit.protocols.Classifier`.

    A branch looks at one part of the face and is computed only if one of its attributes is asked for.

    Args:
        branches: the attributes that each branch tells.
        size: side in pixels that images are brought to, a multiple of 8.
        widths: channels at 1, 1/2, 1/4 of that.
    """

    def __init__(
        self,
        *,
        branches: Mapping[str, Sequence[str]] = BRANCHES,
        size: int = 64,
        widths: Sequence[int] = (16, 32, 48),
    ) -> None:
        super().__init__()
        self.known = {name: tuple(attributes) for name, attributes in branches.items()}
        self.size = size
        self.preprocess = Preprocess(size=size, resize="smooth", mean=0.5)
        first, second, third = widths
        self.trunk = nn.Sequential(
            Conv(inputs=3, outputs=first),
            Conv(inputs=first, outputs=second, stride=2),
            Residual(channels=second),
            Conv(inputs=second, outputs=third, stride=2),
            Residual(channels=third),
        )
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(
                    Conv(inputs=third, outputs=third, stride=2),
                    Residual(channels=third),
                    Conv(inputs=third, outputs=16, kernel=1),
                    nn.Flatten(),
                    nn.Dropout(0.3),
                    nn.Linear(16 * (size // 8) ** 2, 48),
                    nn.LeakyReLU(0.1),
                    nn.Linear(48, len(attributes)),
                )
                for name, attributes in self.known.items()
            }
        )

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names that ``classify`` understands."""
        return tuple(attribute for group in self.known.values() for attribute in group)

    def classify(self, image: Image, attributes: Sequence[str]) -> Logits:
        """Logits ``[b, len(attributes)]``, in the order asked.

        Raises:
            InputError: if an attribute is not among ``self.attributes``.
        """
        positions(attributes, self.attributes, "attribute")
        shared = self.trunk(self.preprocess(image))
        logits: dict[str, Tensor] = {}
        for name, group in self.known.items():
            if not set(group).isdisjoint(attributes):
                told = self.branches[name](shared).to(image.dtype)
                logits |= dict(zip(group, told.unbind(1), strict=True))
        return torch.stack([logits[attribute] for attribute in attributes], 1)


class PortraitJudge(nn.Module):
    """Says which attributes a face has: separable convolutions, and no branches. It judges edits that were made for
    :class:`PortraitClassifier`, so it is another network in all respects.

    Args:
        attributes: what it tells.
        size: side in pixels that images are brought to.
        widths: channels at 1/2, 1/4, ... of that.
        hidden: numbers before the last layer.
    """

    def __init__(
        self,
        *,
        attributes: Sequence[str] = tuple(chain.from_iterable(BRANCHES.values())),
        size: int = 64,
        widths: Sequence[int] = (32, 64, 96, 128),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.attributes, self.size = tuple(attributes), size
        self.preprocess = Preprocess(size=size, resize="smooth", input_range=(-1.0, 1.0))
        blocks: list[nn.Module] = []
        for before, width in pairwise((3, *widths)):
            blocks += [
                nn.Conv2d(before, width, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.GELU(),
                Separable(channels=width),
            ]
        self.body = nn.Sequential(*blocks)
        cells = (size >> len(widths)) ** 2
        self.head = nn.Sequential(
            nn.Conv2d(widths[-1], 24, 1),
            nn.GELU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(24 * cells, hidden),
            nn.GELU(),
            nn.Linear(hidden, len(self.attributes)),
        )

    def classify(self, image: Image, attributes: Sequence[str]) -> Logits:
        """Logits ``[b, len(attributes)]``, in the order asked.

        Raises:
            InputError: if an attribute is not among ``self.attributes``.
        """
        chosen = positions(attributes, self.attributes, "attribute")
        return self.head(self.body(self.preprocess(image))).to(image.dtype)[:, chosen]


class Separable(nn.Module):
    """A wide convolution of each channel alone and a product over all channels, around which the input passes."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.GELU(),
            nn.Conv2d(2 * channels, channels, 1),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.body(x)
