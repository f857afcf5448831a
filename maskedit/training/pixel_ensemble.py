"""What a generator's own features say of each pixel: an ensemble of small networks (Zhang et al. 2021, DatasetGAN)."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from maskedit.attributes import REGIONS
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.training.augment import one_hot
from maskedit.training.loop import Training, train
from maskedit.training.options import Hyperparameters
from maskedit.types import Image, Latent


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
        x = self._rest(self.first(rearrange(pixels, "networks n features -> n (networks features) 1")))
        return rearrange(x, "n (networks classes) 1 -> networks n classes", networks=self.networks)

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
            part = F.conv2d(own, rearrange(weight, "o i -> o i 1 1"))
            part = part if part.shape[-1] == size else enlarged(part, size)
            x = part if x is None else x.add_(part)
        assert x is not None
        assert self.first.bias is not None
        x = rearrange(x, "b wide h w -> b wide (h w)").add_(self.first.bias[:, None])
        pattern = "b (networks classes) (h w) -> b networks classes h w"
        return rearrange(self._rest(x), pattern, networks=self.networks, h=size)

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


def shrunk(regions: UInt8[Tensor, "n h w"], size: int) -> UInt8[Tensor, "n size size"]:
    """Region maps at another size: the region that most of a pixel's area had."""
    if regions.shape[-1] == size:
        return regions
    return F.interpolate(one_hot(regions), size=(size, size), mode="area").argmax(1).byte()


def train_ensemble(
    features: Features,
    latents: Latent,
    regions: UInt8[Tensor, "n h w"],
    hyper: Hyperparameters,
    *,
    networks: int,
    hidden: int,
    steps: int,
    rate: float,
    out: Path,
    every: int,
) -> PixelEnsemble:
    """The ensemble, trained on single pixels of labelled pictures.

    Args:
        features: of the generator that drew the pictures.
        latents: of the pictures.
        regions: their labels.
        hyper: pixels a step, for each network its own; and the seed.
        networks: how many.
        hidden: width of each one's first layer.
        steps: how many.
        rate: of Adam.
        out: folder for checkpoint and log.
        every: steps between them.
    """
    device, size = latents.device, features.generator.resolution
    torch.manual_seed(hyper.seed)
    ensemble = PixelEnsemble(inputs=features.channels, networks=networks, hidden=hidden, classes=len(REGIONS))
    wanted = rearrange(shrunk(regions, size).to(device).long(), "n h w -> (n h w)")
    # A picture's features at a time; what is kept of them are their own sizes, not the enlarged ones.
    levels = [torch.cat(maps) for maps in zip(*(features(one)[1] for one in latents.split(8)), strict=True)]

    def pixels(rows: Int64[Tensor, " m"]) -> Float[Tensor, "m features"]:
        picture, place = rows // size**2, rows % size**2
        return torch.cat([bilinear(maps, picture, place // size, place % size, size) for maps in levels], 1)

    def loss(i: int, rng: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(wanted), (networks, hyper.batch), generator=rng).to(device)
        logits = ensemble(rearrange(pixels(rows.flatten()), "(networks n) c -> networks n c", networks=networks))
        # Summed over the networks, so that each learns as if it were alone.
        loss = F.cross_entropy(rearrange(logits, "networks n c -> (networks n) c"), wanted[rows.flatten()]) * networks
        return {"loss": loss, "right": (logits.argmax(2) == wanted[rows]).float().mean()}

    optimizer = torch.optim.Adam(ensemble.parameters(), rate)
    what = Training(network=ensemble, optimizer=optimizer, loss=loss, steps=steps, clip=None)
    train(what, hyper, out=out, every=every, device=device)
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
    rows = rearrange(maps, "b c h w -> b h w c")
    upper = rows[picture, y0, x0].lerp(rows[picture, y0, x1], u)
    return upper.lerp(rows[picture, y1, x0].lerp(rows[picture, y1, x1], u), v)
