"""Any network that is known here in a form that can hold no code."""

from pathlib import Path

from maskedit.errors import InputError
from maskedit.files import sha256
from maskedit.models.files.checkpoints import read
from maskedit.models.files.encoder_files import convert_encoder, encoder_in
from maskedit.models.files.generators import find_generator, load_generator, save_generator
from maskedit.models.files.known_networks import known_in


def convert(source: Path, target: Path, *, seed: int = 0) -> dict[str, str]:
    """Writes the network in one file as safetensors.

    A generator goes with its mean latent and constant noise maps, an encoder with its mean latent and with the
    generator that its file has; other networks keep their keys.

    Args:
        source: a checkpoint of a generator, an encoder, or a network that is known by its keys.
        target: the file to write, whole or not at all.
        seed: of the codes for the mean latent, if the source has none.

    Returns:
        What is written into its metadata beside the sizes: the source's format, network and SHA-256, and where a
        generator's mean latent is from.

    Raises:
        CheckpointError: if the source cannot be read.
        InputError: if the target cannot be.
        FileError: if it cannot be written.
    """
    if target.suffix != ".safetensors":
        raise InputError(
            "the converted file would not be what its name says", expected="OUT.safetensors", actual=str(target)
        )
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError("source and target are the same file", actual=str(target))
    if not target.parent.is_dir():
        raise InputError(f"{target} cannot be written", expected="a folder that exists", actual=str(target.parent))
    file = read(source)
    metadata = {"source_format": file.format, "source_sha256": sha256(source)}
    if (encoder := encoder_in(file)) is not None:
        metadata["source_network"] = encoder.kind
        convert_encoder(encoder, target, metadata, seed=seed)
    elif (known := known_in(file)) is not None:
        metadata["source_network"] = known.what
        known.write(target, metadata)
    else:
        found = find_generator(file)
        generator = load_generator(source, seed=seed)
        metadata["source_network"] = found.source
        own = bool({"latent_average", "mapping.w_avg"} & found.state.keys())
        metadata["mean_latent"] = "of the source" if own else f"of 50,000 mapped codes, seed {seed}"
        save_generator(generator, target, metadata)
    return metadata
