"""What a checkpoint is, without loading its weights."""

import math
from collections.abc import Mapping
from pathlib import Path

from maskedit.errors import CheckpointError
from maskedit.models.files.checkpoints import File, State, read, states_in
from maskedit.models.files.pickles import Persistent
from maskedit.models.files.stylegan2_files import find_generator


def inspect(path: Path) -> dict[str, str]:
    """What a checkpoint file is: short facts in words, by name.

    Raises:
        CheckpointError: if it cannot be read.
    """
    file = read(path)
    facts = {"file": f"{path.name}, {_bytes(path.stat().st_size)}", "format": file.format}
    try:
        found = find_generator(file)
        network = found.outline()
    except CheckpointError as error:
        entries = {f"entry {name!r}" if name else "state dict": state for name, state in states_in(file).items()}
        facts |= {name: _weights(state) for name, state in entries.items()}
        return facts | {"generator": error.problem} | _metadata(file)
    facts |= {
        "network": found.source,
        "resolution": f"{network.resolution} px",
        "latents": f"{network.latent_shape[0]} layers of {network.latent_dim}",
        "mapping": f"{len(network.mapping.layers)} layers, from codes of {network.z_dim}",
        "channels": f"{' '.join(map(str, network.channels))} at 4, 8, ... px",
        "weights": _weights(found.state),
        "mean latent": "in the file" if "latent_average" in found.state else "not in the file: computed when loaded",
        "noise maps": "in the file" if "noise_0" in found.state else "not in the file",
    }
    if found.clamp is not None:
        facts["clamp"] = f"features bounded by {found.clamp:g}"
    others = [name for name in _entries(file.value) if name not in ("g_ema", "G_ema", "latent_avg")]
    if others and "(" in found.source:
        facts["also there"] = ", ".join(others)
    return facts | _metadata(file)


def _metadata(file: File) -> dict[str, str]:
    """What a safetensors file says of itself, but for the sizes, which are seen from the weights."""
    sizes = ("format", "resolution", "latent_dim", "z_dim", "mapping_layers", "channels", "clamp", "digest")
    return {name.replace("_", " "): file.metadata[name] for name in sorted(file.metadata) if name not in sizes}


def _entries(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [str(name) for name, entry in value.items() if isinstance(entry, Mapping | Persistent)]
    return []


def _weights(state: State) -> str:
    count = sum(math.prod(stored.shape) for stored in state.values())
    kinds = sorted({str(stored.dtype).removeprefix("torch.") for stored in state.values()})
    return f"{count:,} numbers in {len(state)} tensors, {' and '.join(kinds)}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"
