"""What the StyleGANs share: linear layers with an equalised learning rate, and the mapping of codes."""

import math
from collections.abc import Iterable
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError

SLOPE = 0.2
GAIN = math.sqrt(2)
EPSILON = 1e-8


def normal(*shape: int, deviation: float = 1.0) -> nn.Parameter:
    """A parameter of Gaussian numbers; on the meta device none are drawn, which would load torch's compiler."""
    weight = torch.empty(shape)
    return nn.Parameter(weight if weight.is_meta else weight.normal_(std=deviation))


class EqualLinear(nn.Module):
    """A linear layer with an equalised learning rate.

    Args:
        inputs: size of the input vectors.
        outputs: size of the output vectors.
        bias: initial value of every bias.
        rate: learning-rate multiplier; weights are stored divided by it.
    """

    def __init__(self, *, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.rate = rate
        self.scale = rate / math.sqrt(inputs)
        self.weight = normal(outputs, inputs, deviation=1 / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))

    def forward(self, x: Float[Tensor, "b inputs"]) -> Float[Tensor, "b outputs"]:
        return F.linear(x * self.scale, self.weight, self.bias * self.rate)


class Mapping(nn.Module):
    """Turns Gaussian codes z into latents w: linear layers with leaky rectifiers, on normalised codes.

    Args:
        z_dim: size of z; 0 for none, if there are classes.
        latent_dim: size of w.
        depth: how many layers.
        rate: learning-rate multiplier of the layers.
        width: size of the vectors between the layers; ``latent_dim`` if not given.
        classes: size of the label that is seen beside z; 0 for none.
        embedding: size of what the label is turned into; ``latent_dim`` if not given.
    """

    embed: EqualLinear | None

    def __init__(
        self,
        *,
        z_dim: int,
        latent_dim: int,
        depth: int,
        rate: float = 0.01,
        width: int | None = None,
        classes: int = 0,
        embedding: int | None = None,
    ) -> None:
        super().__init__()
        self.z_dim, self.classes, self.rate, self.depth = z_dim, classes, rate, depth
        embedding = (embedding or latent_dim) if classes else 0
        self.embed = EqualLinear(inputs=classes, outputs=embedding) if classes else None
        sizes = [z_dim + embedding, *[width or latent_dim] * (depth - 1), latent_dim][: depth + 1]
        self._add(EqualLinear(inputs=i, outputs=o, rate=rate) for i, o in pairwise(sizes))

    def _add(self, layers: Iterable[EqualLinear]) -> None:
        self.layers = nn.ModuleList(layers)

    def _in_order(self) -> Iterable[nn.Module]:
        return self.layers

    def forward(
        self, z: Float[Tensor, "b z_dim"] | None, label: Float[Tensor, "b classes"] | None = None
    ) -> Float[Tensor, "b dim"]:
        """Latents.

        Args:
            z: codes; None where there are none.
            label: how much of each class, usually one of them; only where there are classes.

        Raises:
            InputError: if they are not of the sizes that this network takes.
        """
        for what, given, size in (("code", z, self.z_dim), ("label", label, self.classes)):
            shape = None if given is None else tuple(given.shape)
            if (shape is None or len(shape) != 2 or shape[1] != size) if size else (shape and shape[-1]):
                raise InputError(
                    f"the {what} does not fit this generator",
                    expected=f"[b, {size}]" if size else "none",
                    actual="none" if shape is None else str(list(shape)),
                )
        parts = [] if z is None or not self.z_dim else [normalised(z)]
        if self.embed is not None:
            parts.append(normalised(self.embed(label)))
        x = torch.cat(parts, dim=1)
        for layer in self._in_order():
            x = F.leaky_relu(layer(x), SLOPE) * GAIN
        return x


def normalised(x: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Each vector divided by the root of its mean square."""
    return x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt()


def truncated(
    w: Float[Tensor, "b dim"], average: Float[Tensor, " dim"] | None, layers: int, psi: float, cutoff: int | None
) -> Float[Tensor, "b layers dim"]:
    """The same vector for every layer, the first ``cutoff`` of them (all, if None) moved towards the average.

    Args:
        w: latents.
        average: the mean latent; not needed for psi 1.
        layers: how many.
        psi: 1 for the latents as they are, down to 0 for the mean.
        cutoff: how many layers are moved.
    """
    rows = w[:, None].repeat(1, layers, 1)
    if psi == 1.0 or average is None:
        return rows
    return torch.cat([average.lerp(rows[:, :cutoff], psi), rows[:, layers if cutoff is None else cutoff :]], dim=1)


def check_latent(latent: Tensor, shape: tuple[int, int]) -> None:
    """Says what is wrong with a latent that does not fit.

    Raises:
        InputError: if it is not ``[b, layers, dim]``.
    """
    layers, dim = shape
    if latent.ndim == 3 and tuple(latent.shape[1:]) == shape:
        return
    hint = f"Add the batch: latent[None] is [1, {layers}, {dim}]." if latent.shape == shape else ""
    raise InputError(
        "the latent does not fit this generator",
        expected=f"[b, {layers}, {dim}]",
        actual=str(list(latent.shape)),
        hint=hint,
    )
