"""Networks that are known by their keys: which one a file holds, seen without loading its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maskedit.errors import CheckpointError
from maskedit.models.files.checkpoints import File, State, check_size, states_in, write
from maskedit.models.files.state_dict import unwrap
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.bisenet import BiSeNet
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.fcn import FCN
from maskedit.models.networks.inception import FIDInception
from maskedit.models.networks.ir_se50 import FaceIdentity
from maskedit.models.networks.lpips import LPIPS
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.unet import UNet
from maskedit.models.networks.vgg import VGG

FORMAT = "maskedit.network"
"""What the metadata of our own files call their content."""


@dataclass(frozen=True)
class Known:
    """A network that files may hold.

    Args:
        what: what it is called.
        marks: keys by which it is known, together.
        network: its class, whose ``from_state_dict`` checks every key and shape.
    """

    what: str
    marks: tuple[str, ...]
    network: Any


NETWORKS: tuple[Known, ...] = (
    Known(
        "IR-SE50: identity of faces",
        ("output_layer.3.weight", "body.0.res_layer.0.weight"),
        FaceIdentity,
    ),
    Known("LPIPS: trunk and linear layers", ("lin0.model.1.weight",), LPIPS),
    Known("Inception v3 of FID", ("Mixed_7c.branch_pool.conv.weight",), FIDInception),
    Known("attribute tree: a classifier", ("fc_layers.13-14.0.0.weight",), AttributeTree),
    Known("ResNet: a classifier", ("layer1.0.conv1.weight", "fc.weight"), ResNet),
    Known(
        "VGG: trunk of LPIPS, or a classifier",
        ("features.0.weight", "features.24.weight", "classifier.6.weight"),
        VGG,
    ),
    Known("DeepLabV3: a parser", ("classifier.0.project.0.weight",), DeepLabV3),
    Known("BiSeNet: a parser", ("conv_out.conv_out.weight",), BiSeNet),
    Known("FCN: a parser", ("backbone.layer1.0.conv1.weight", "classifier.4.weight"), FCN),
    Known("UNet: a parser", ("outc.conv.weight", "inc.double_conv.0.weight"), UNet),
)

_ALEXNET = (*(f"features.{i}" for i in (0, 3, 6, 8, 10)), *(f"classifier.{i}" for i in (1, 4, 6)))
PARTS: tuple[Known, ...] = (
    Known("LPIPS: linear layers", tuple(f"lin{k}.model.1.weight" for k in range(5)), None),
    Known(
        "AlexNet: trunk of LPIPS",
        tuple(f"{layer}.{leaf}" for layer in _ALEXNET for leaf in ("weight", "bias")),
        None,
    ),
)
"""Parts of networks: the marks are all of their keys."""


@dataclass(frozen=True)
class KnownFile:
    """A network in a file, known but not loaded.

    Args:
        file: the file.
        what: what it is called.
        network: its class; None for a part of a network.
        state: its tensors, as the network has them.
    """

    file: File
    what: str
    network: Any
    state: State

    def write(self, target: Path, metadata: Mapping[str, str]) -> None:
        """Writes it as safetensors, under the same keys.

        Raises:
            CheckpointError: if the tensors would be far larger than their file.
            FileError: if the file cannot be written.
        """
        check_size(self.file.path, self.state)
        tensors = {key: stored.load() for key, stored in self.state.items()}
        write(target, tensors, {**metadata, "format": FORMAT})


def known_in(file: File) -> KnownFile | None:
    """The network in a file, if it is one of those known here and the only one.

    Raises:
        CheckpointError: if it has the marks of one, and not its keys and shapes.
    """
    found = []
    for state in states_in(file).values():
        if (known := known_as(state)) is not None:
            found.append(KnownFile(file, known.what, known.network, state))
    return found[0] if len(found) == 1 else None


def known_as(state: State) -> Known | None:
    """Which network has these keys and shapes, if it is one of those known here.

    Raises:
        CheckpointError: if it has the marks of one, and not its keys and shapes.
    """
    # Tensors without memory of their own: shapes alone.
    shapes = {key: torch.empty(stored.shape, dtype=stored.dtype, device="meta") for key, stored in state.items()}
    shapes = unwrap(shapes)
    for part in PARTS:
        if shapes.keys() == set(part.marks):
            return part
    for known in NETWORKS:
        if all(mark in shapes for mark in known.marks):
            try:
                known.network.from_state_dict(shapes)
            except CheckpointError:
                raise
            except (
                ArithmeticError,
                IndexError,
                RuntimeError,
                ValueError,
            ) as error:  # a mark that is no matrix, sizes without end
                raise CheckpointError(f"this is no {known.what}: its shapes make no sense") from error
            return known
    return None
