"""ReStyle (Alaluf et al. 2021): from a photo to its latent in several rounds, looking at what was drawn so far."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import CheckpointError, InputError
from maskedit.models.networks.ir_se50 import SIZE
from maskedit.models.networks.psp import StyleEncoder
from maskedit.models.preprocess import resize_by_area
from maskedit.protocols import Generator
from maskedit.types import Image, Latent, NoiseMap

ROUNDS = 5
"""As in the authors' own tests."""


class ReStyle(nn.Module):
    """ReStyle as a :class:`maskedit.protocols.Encoder`.

    Args:
        encoder: sees the photo and what was drawn, six channels, and says how the latent should change.
        generator: draws, with its constant noise maps if it has any, else without noise.
        latent_avg: the latent to start from ``[rows, dim]``.
        rounds: how often the latent is changed.
    """

    latent_avg: Float[Tensor, "rows dim"]

    def __init__(
        self,
        encoder: StyleEncoder,
        generator: Generator,
        latent_avg: Float[Tensor, "rows dim"],
        *,
        rounds: int = ROUNDS,
    ) -> None:
        super().__init__()
        if encoder.inputs != 6:
            raise CheckpointError(
                "the encoder is no ReStyle's", expected="6 channels", actual=f"{encoder.inputs} channels"
            )
        if tuple(generator.latent_shape) != tuple(latent_avg.shape):
            raise InputError(
                "the generator is not of this encoder",
                expected=f"latents of {list(latent_avg.shape)}",
                actual=str(list(generator.latent_shape)),
            )
        if rounds < 1:
            raise InputError("ReStyle needs a round at least", actual=str(rounds))
        self.encoder, self.generator, self.rounds = encoder, generator, rounds
        self.register_buffer("latent_avg", latent_avg)

    def encode(self, image: Image) -> Latent:
        """Latents ``[b, rows, dim]`` for pictures in [0, 1] of any size; they are seen at 256 px."""
        *_, latent = self.refine(image)
        return latent

    forward = encode

    def refine(self, image: Image) -> Iterator[Latent]:
        """The latents ``[b, rows, dim]`` after each round."""
        photo = resize_by_area(image, SIZE) * 2 - 1
        latent = self.latent_avg[None]
        for _ in range(self.rounds):
            drawn = resize_by_area(self.draw(latent), SIZE) * 2 - 1
            latent = latent + self.encoder(_beside(photo, drawn))
            yield latent

    def draw(self, latent: Latent) -> Image:
        """The pictures of these latents as the encoder is shown them, but for their size."""
        return self.generator.synthesize(latent, self._noises(latent))

    def _noises(self, latent: Latent) -> tuple[NoiseMap, ...]:
        constant = getattr(self.generator, "constant_noises", None)
        if constant is not None and (maps := constant(len(latent))):
            return maps
        return tuple(latent.new_zeros(len(latent), 1, h, w) for h, w in self.generator.noise_shapes)


def _beside(photo: Image, drawn: Float[Tensor, "_ 3 h w"]) -> Float[Tensor, "b 6 h w"]:
    return torch.cat([photo, drawn.expand_as(photo)], dim=1)
