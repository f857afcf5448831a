"""VGG networks (Simonyan and Zisserman 2015) with torchvision's keys: multi-attribute classifiers of Table VII."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import CheckpointError
from maskedit.models.files.state_dict import State, fill, shape_of, unwrap

Stages = Sequence[Sequence[int]]
"""Channels of the convolutions, stage by stage; each stage ends in 2x2 max pooling."""

VGG16: Stages = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
VGG19: Stages = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


class VGG(nn.Module):
    """A VGG network.

    Args:
        stages: channels of the convolutions, stage by stage: ``VGG16``, ``VGG19``.
        outputs: number of logits.
        hidden: width of the two hidden linear layers.
        batch_norm: put batch norm after each convolution.
        dropout: share of the hidden numbers that training drops.
    """

    def __init__(
        self,
        *,
        stages: Stages = VGG16,
        outputs: int = 40,
        hidden: int = 4096,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        inputs = 3
        for stage in stages:
            for channels in stage:
                norm = [nn.BatchNorm2d(channels)] if batch_norm else []
                modules += [nn.Conv2d(inputs, channels, 3, padding=1), *norm, nn.ReLU(inplace=True)]
                inputs = channels
            modules += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*modules)
        self.classifier = nn.Sequential(
            nn.Linear(inputs * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    @classmethod
    def from_state_dict(cls, state: State) -> "VGG":
        """The network with these weights, its sizes read from their keys and shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not a VGG's.
        """
        state = unwrap(state)
        hidden = shape_of(state, "classifier.0.weight", cls.__name__)[0]
        outputs = shape_of(state, "classifier.6.weight", cls.__name__)[0]
        stages, batch_norm = _stages(state)
        with torch.device("meta"):
            network = cls(stages=stages, outputs=outputs, hidden=hidden, batch_norm=batch_norm)
        return fill(network, state)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b outputs"]:
        x = self.features(x)
        if x.shape[-2:] != (7, 7):  # 224 px give 7x7
            x = F.adaptive_avg_pool2d(x, 7)
        return self.classifier(rearrange(x, "b c h w -> b (c h w)"))


def _stages(state: State) -> tuple[list[list[int]], bool]:
    """The convolutions' channels by stage: where an index is skipped between two convolutions, there was a pooling."""
    convolutions = {
        int(key.split(".")[1]): value.shape[0]
        for key, value in state.items()
        if key.startswith("features.") and key.endswith(".weight") and value.ndim == 4
    }
    if 0 not in convolutions:
        raise CheckpointError("this is no VGG", expected="a state dict with 'features.0.weight'")
    batch_norm = "features.1.running_mean" in state
    step = 3 if batch_norm else 2
    stages: list[list[int]] = [[]]
    previous = 0
    for index in sorted(convolutions):
        if index - previous > step:
            stages.append([])
        stages[-1].append(convolutions[index])
        previous = index
    return stages, batch_norm
