"""Where StyleGAN3's pictures begin: waves on a plane, which the latent and the caller may turn and shift."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.models.networks.mapping import EqualLinear, normal


def moved(
    angle: float | Float[Tensor, "*b"] = 0.0, x: float | Float[Tensor, "*b"] = 0.0, y: float | Float[Tensor, "*b"] = 0.0
) -> Float[Tensor, "*b 3 3"]:
    """The ``transform`` with which StyleGAN3 draws its picture turned and shifted; differentiable.

    Args:
        angle: in radians; the picture is the inverse of [[cos, sin, x], [-sin, cos, y], [0, 0, 1]] away.
        x: shift along the rows; 1 is the picture's width.
        y: shift along the columns.
    """
    a, x, y = (torch.as_tensor(value, dtype=torch.get_default_dtype()) for value in (angle, x, y))
    a, x, y = torch.broadcast_tensors(a, x, y)
    cos, sin, zero, one = a.cos(), a.sin(), torch.zeros_like(a), torch.ones_like(a)
    # The inverse of [[cos, sin, x], [-sin, cos, y], [0, 0, 1]].
    rows = [cos, -sin, sin * y - cos * x, sin, cos, -sin * x - cos * y, zero, zero, one]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


class FourierInput(nn.Module):
    """A picture of waves: fixed frequencies and phases, mixed by a matrix.

    Args:
        latent_dim: size of the latent vector that turns and shifts it.
        channels: how many waves, and mixtures of them.
        size: pixels along each side.
        rate: pixels per unit of length, the side of the picture to be drawn.
        cutoff: waves of up to this many periods per unit pass whole; they fade to nothing at ``rate / 2``.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, *, latent_dim: int, channels: int, size: int, rate: int, cutoff: float) -> None:
        super().__init__()
        self.size, self.rate, self.cutoff = size, rate, cutoff
        self.weight = normal(channels, channels)
        self.affine = EqualLinear(inputs=latent_dim, outputs=4)
        # At first, no latent moves it.
        self.affine.weight = nn.Parameter(torch.zeros(4, latent_dim))
        self.affine.bias = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        with torch.device("cpu"):  # arithmetic on the meta device would load torch's compiler
            angles, radii = 2 * math.pi * torch.rand(channels), cutoff * torch.rand(channels).sqrt()
            freqs, phases = (
                torch.stack([angles.cos(), angles.sin()], dim=1) * radii[:, None],
                torch.rand(channels) - 0.5,
            )
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs.to(self.weight.device))
        self.register_buffer("phases", phases.to(self.weight.device))

    def forward(
        self, latent: Float[Tensor, "b dim"], transform: Float[Tensor, "... 3 3"] | None = None
    ) -> Float[Tensor, "b channels size size"]:
        """The waves, channels last.

        Args:
            latent: the first vector of a W+ latent.
            transform: one for all or one for each image, e.g. from :func:`moved`; the stored one if not given.

        Raises:
            InputError: if the transform is not of such a shape.
        """
        transform = self.transform if transform is None else transform
        if tuple(transform.shape) not in ((3, 3), (len(latent), 3, 3)):
            raise InputError(
                "the transform does not fit these latents",
                expected=f"[3, 3] or [{len(latent)}, 3, 3]",
                actual=str(list(transform.shape)),
            )
        place = self.affine(latent)
        cos, sin, x, y = (place / place[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        # A turn after a shift: [[cos, -sin], [sin, cos]] @ [[1, 0, -x], [0, 1, -y]].
        rows = [cos, -sin, sin * y - cos * x, sin, cos, -sin * x - cos * y]
        matrix = torch.stack(rows, dim=1).unflatten(1, (2, 3)) @ transform.to(latent)
        phases = self.phases + (self.freqs @ matrix[:, :, 2:]).squeeze(2)
        freqs = self.freqs @ matrix[:, :, :2]
        amplitudes = 1 - (freqs.norm(dim=2) - self.cutoff) / (self.rate / 2 - self.cutoff)
        line = (torch.arange(self.size, device=latent.device, dtype=latent.dtype) + 0.5 - self.size / 2) / self.rate
        across, down = (2 * math.pi * line[:, None] * freq[:, None] for freq in freqs.unbind(2))
        across = across + 2 * math.pi * phases[:, None]
        # sin(a + b), so that sines are taken of rows and columns, not of every pixel.
        waves = across.sin()[:, None] * down.cos()[:, :, None] + across.cos()[:, None] * down.sin()[:, :, None]
        waves = waves * amplitudes.clamp(0, 1)[:, None, None]
        return (waves @ (self.weight.mT / math.sqrt(len(self.weight)))).permute(0, 3, 1, 2)
