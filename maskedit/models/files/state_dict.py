"""Filling a network from a state dict, with a sentence where the two do not fit."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from maskedit.errors import CheckpointError

State = Mapping[str, Tensor]
"""A network's weights: key -> tensor. Read files with ``maskedit.models.files.checkpoints``, which runs no code."""

_Network = TypeVar("_Network", bound=nn.Module)

WRAPPERS = ("module.", "model.", "network.")
"""What DataParallel, Lightning and the adapters here put before every key."""

TRAINING_ONLY = ("aux_classifier.", "loss.")
"""Heads and losses that serve in training alone: torchvision's auxiliary head, the released parser's class weights."""


def unwrap(state: State) -> dict[str, Tensor]:
    """The state without the prefix of a wrapper around the whole network, and without what only training needs."""
    bare = dict(state)
    while True:
        bare = {key: value for key, value in bare.items() if not key.startswith(TRAINING_ONLY)}
        prefix = next((p for p in WRAPPERS if bare and all(key.startswith(p) for key in bare)), None)
        if prefix is None:
            return bare
        bare = {key.removeprefix(prefix): value for key, value in bare.items()}


def shape_of(state: State, key: str, network: str) -> torch.Size:
    """The shape of one weight, from which a size of the network is read.

    Raises:
        CheckpointError: if it is not there.
    """
    if key not in state:
        raise CheckpointError(
            f"this is no {network}",
            expected=f"a state dict with {key!r}",
            actual=f"{len(state)} keys, starting with {_some(list(state))}",
        )
    return state[key].shape


def count(state: State, prefix: str) -> int:
    """How many numbered children a prefix has: 3 for ``p.0.x, p.1.x, p.1.y, p.2.x``."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def fill(network: _Network, state: State) -> _Network:
    """Puts a state dict into a network made on the meta device, and makes it ready for use: eval mode, frozen.

    Half-precision weights become float32, since latents, losses and images are. Other tensors are taken as they
    are, not copied.

    Raises:
        CheckpointError: if keys are missing or left over, or a shape differs.
    """
    name = type(network).__name__
    wanted = network.state_dict()
    # Batch norm's step counters are absent from old files, and matter only to training.
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    left_over = [key for key in state if key not in wanted]
    if missing or left_over:
        raise CheckpointError(
            f"the state dict does not fit {name}",
            expected=f"{len(wanted)} keys"
            + (f", of which {len(missing)} are missing: {_some(missing)}" if missing else ""),
            actual=f"{len(left_over)} unknown: {_some(left_over)}" if left_over else "",
        )
    for key, tensor in state.items():
        if tensor.shape != wanted[key].shape:
            raise CheckpointError(
                f"the weight {key!r} does not fit {name}",
                expected=f"shape {list(wanted[key].shape)}",
                actual=str(list(tensor.shape)),
            )
    half = (torch.float16, torch.bfloat16)
    full = {key: tensor.float() if tensor.dtype in half else tensor.detach() for key, tensor in state.items()}
    network.load_state_dict(full, strict=False, assign=True)
    return network.eval().requires_grad_(False)


def _some(keys: list[str]) -> str:
    shown = ", ".join(repr(key) for key in keys[:3])
    return shown + (", ..." if len(keys) > 3 else "") if keys else "none"
