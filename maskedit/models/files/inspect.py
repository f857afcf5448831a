"""What a checkpoint is, without loading its weights."""

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from maskedit.errors import CheckpointError
from maskedit.models.files.checkpoints import File, State, read, states_in
from maskedit.models.files.encoder_files import EncoderFile, encoder_in
from maskedit.models.files.generators import find_generator
from maskedit.models.files.known_networks import known_in
from maskedit.models.files.pickles import Persistent
from maskedit.models.networks.ir_se50 import SIZE
from maskedit.models.networks.resampling import DEFAULT_TAPS
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.networks.stylegan3 import Geometry, StyleGAN3


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
        "resolution": f"{network.resolution} px" + (", grey" if network.colours == 1 else ""),
        "latents": f"{network.latent_shape[0]} layers of {network.latent_dim}",
        "mapping": f"{network.mapping.depth} layers, from {_codes(network)}",
    }
    mean = "in the file"
    if isinstance(network, StyleGAN2):
        facts["channels"] = f"{' '.join(map(str, network.channels))} at 4, 8, ... px"
        if network.architecture != "skip":
            facts["blocks"] = {"resnet": "residual", "orig": "plain"}[network.architecture]
        if network.taps != DEFAULT_TAPS:
            facts["filter"] = " ".join(f"{tap:.3g}" for tap in network.taps)
        mean = "in the file" if "latent_average" in found.state else "not in the file: computed when loaded"
    else:
        geometry = network.geometry
        facts["channels"] = f"{' '.join(map(str, network.channels))} in {geometry.layers} layers"
        facts["layers"] = (
            f"{network.kernel}x{network.kernel} pixels, {'radial' if network.radial else 'separable'} filters"
        )
    facts |= {"weights": _weights(found.state), "mean latent": mean}
    if isinstance(network, StyleGAN2):
        facts["noise maps"] = (
            "none" if not network.noisy else "in the file" if "noise_0" in found.state else "not in the file"
        )
    if network.clamp is not None:
        facts["clamp"] = f"features bounded by {network.clamp:g}"
    beside = [name for name in _entries(file.value) if name not in ("g_ema", "G_ema", "latent_avg")]
    if beside and "(" in found.source:
        facts["also there"] = ", ".join(beside)
    return facts | _metadata(file)


def _codes(network: StyleGAN2 | StyleGAN3) -> str:
    """What the mapping is given."""
    codes = [f"codes of {network.z_dim}"] if network.z_dim else []
    return " and ".join(codes + ([f"labels of {network.mapping.classes} classes"] if network.mapping.classes else []))


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
    sizes = {
        "format",
        "resolution",
        "latent_dim",
        "z_dim",
        "mapping_layers",
        "mapping_rate",
        "channels",
        "clamp",
        "taps",
    }
    sizes |= {"digest", "scale", "encoder_type", "output_size", *(field.name for field in fields(Geometry))}
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
