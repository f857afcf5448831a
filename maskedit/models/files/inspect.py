"""What a checkpoint is, without loading its weights."""

import math
from collections.abc import Mapping
from pathlib import Path

from maskedit.errors import CheckpointError
from maskedit.models.files.checkpoints import File, State, read, states_in
from maskedit.models.files.encoder_files import EncoderFile, encoder_in
from maskedit.models.files.known_networks import known_in
from maskedit.models.files.pickles import Persistent
from maskedit.models.files.stylegan2_files import find_generator
from maskedit.models.networks.ir_se50 import SIZE


def inspect(path: Path) -> dict[str, str]:
    """What a checkpoint file is: short facts in words, by name.

    Raises:
        CheckpointError: if it cannot be read.
    """
    file = read(path)
    facts = {"file": f"{path.name}, {_bytes(path.stat().st_size)}", "format": file.format}
    if (encoder := encoder_in(file)) is not None:
        return facts | _of_encoder(encoder) | _metadata(file)
    entries = {f"entry {name!r}" if name else "state dict": state for name, state in states_in(file).items()}
    others = {name: _weights(state) for name, state in entries.items()}
    try:
        if (known := known_in(file)) is not None:
            return facts | {"network": known.what, "weights": _weights(known.state)} | _metadata(file)
    except CheckpointError as error:
        return facts | others | {"network": error.problem} | _metadata(file)
    try:
        found = find_generator(file)
        network = found.outline()
    except CheckpointError as error:
        return facts | others | {"generator": error.problem} | _metadata(file)
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
    beside = [name for name in _entries(file.value) if name not in ("g_ema", "G_ema", "latent_avg")]
    if beside and "(" in found.source:
        facts["also there"] = ", ".join(beside)
    return facts | _metadata(file)


def _of_encoder(found: EncoderFile) -> dict[str, str]:
    network = found.outline()
    facts = {
        "network": f"{found.kind}, an encoder",
        "latents": f"{found.rows} layers of {found.dim}",
        "input": f"{network.inputs} channels at {SIZE} px",
        "weights": _weights(found.state),
        "mean latent": "in the file" if found.average is not None else "not in the file: computed when loaded",
    }
    if not found.around_average:
        facts["mean latent"] = "not added"
    try:
        decoder = find_generator(found.file)
        facts["generator"] = f"{decoder.source}, {decoder.outline().resolution} px"
    except CheckpointError as error:
        facts["generator"] = error.problem
    return facts


def _metadata(file: File) -> dict[str, str]:
    """What a safetensors file says of itself, but for the sizes, which are seen from the weights."""
    sizes = {"format", "resolution", "latent_dim", "z_dim", "mapping_layers", "channels", "clamp", "digest"}
    sizes |= {"encoder_type", "output_size"}
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
