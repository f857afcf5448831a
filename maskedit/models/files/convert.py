"""Any StyleGAN2 or StyleGAN3 checkpoint in a form that can hold no code."""

from pathlib import Path

from maskedit.errors import InputError
from maskedit.files import sha256
from maskedit.models.files.checkpoints import read
from maskedit.models.files.generators import find_generator, load_generator, save_generator


def convert(source: Path, target: Path, *, seed: int = 0) -> dict[str, str]:
    """Writes the generator in one file as safetensors, with its mean latent and constant noise maps.

    Args:
        source: a checkpoint that :func:`load_generator` reads.
        target: the file to write, whole or not at all.
        seed: of the codes for the mean latent, if the source has none.

    Returns:
        What is written into its metadata beside the sizes: the source's format, network and SHA-256, and where the
        mean latent is from.

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
    found = find_generator(read(source))
    generator = load_generator(source, seed=seed)
    metadata = {
        "source_format": found.file.format,
        "source_network": found.source,
        "source_sha256": sha256(source),
        "mean_latent": "of the source"
        if {"latent_average", "mapping.w_avg"} & found.state.keys()
        else f"of 50,000 mapped codes, seed {seed}",
    }
    save_generator(generator, target, metadata)
    return metadata
