"""Loads generators from all of their public forms, which one being seen from the file's content:

- StyleGAN2: rosinality's ``.pt``, ``g_ema`` with or without ``latent_avg``, or a bare state dict; the decoder in an
  encoder's checkpoint, as pSp, e4e and ReStyle write it; NVIDIA's StyleGAN2-ADA ``.pkl`` or its state dict;
- StyleGAN3: NVIDIA's ``.pkl`` or its state dict;
- safetensors of either, as ``maskedit convert`` writes them.

Sizes are read from keys and shapes, and every tensor must have its place in the network before any is loaded.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import CheckpointError, FileError
from maskedit.files import sha256
from maskedit.models.files import stylegan2_files, stylegan3_files
from maskedit.models.files.checkpoints import File, Held, State, check_size, read, states_in, write
from maskedit.models.files.nvidia import pickled
from maskedit.models.files.pickles import Persistent
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.networks.stylegan3 import StyleGAN3

StyleGAN: TypeAlias = StyleGAN2 | StyleGAN3

MEAN_SAMPLES = 50_000
MAX_WEIGHT = 1e8
"""Raw weights are around 1, those of mapping networks around 100; a bit flipped in an exponent shows."""


@dataclass(frozen=True)
class GeneratorFile:
    """A generator in a file, understood but not loaded.

    Args:
        file: the file.
        source: what it is and whose form it has, in words.
        state: its tensors, under the names that its network here has for them.
        make: makes that network, unfilled.
    """

    file: File
    source: str
    state: State
    make: Callable[[], StyleGAN]

    def outline(self) -> StyleGAN:
        """The network without its weights (on the meta device), after checking that each has its place.

        Raises:
            CheckpointError: if keys or shapes do not fit together.
        """
        name = self.file.path.name
        with torch.device("meta"):
            network = self.make()
        family, wanted = type(network).__name__, network.state_dict()
        missing, unknown = wanted.keys() - self.state.keys(), self.state.keys() - wanted.keys()
        if missing or unknown:
            raise CheckpointError(
                f"the {family} in {name} is not of the form that its keys begin like",
                expected=f"{len(wanted)} weights, of which {len(missing)} are missing: {_some(missing)}",
                actual=f"{len(unknown)} that have no place: {_some(unknown)}",
            )
        for key, tensor in wanted.items():
            if _bare(self.state[key].shape) != _bare(tensor.shape) or not self.state[key].dtype.is_floating_point:
                raise CheckpointError(
                    f"the weight {key!r} in {name} does not fit the others",
                    expected=f"shape {list(tensor.shape)}, floating point",
                    actual=f"{list(self.state[key].shape)}, {self.state[key].dtype}",
                )
        return network

    def load(self) -> StyleGAN:
        """The network, frozen; its mean latent only if it is in the file.

        Raises:
            CheckpointError: if keys or shapes do not fit together, or the weights are damaged.
        """
        network = self.outline()
        weights = {}
        for key, tensor in network.state_dict().items():
            weights[key] = self.state[key].load().reshape(tensor.shape).float()
            low, high = weights[key].aminmax()
            if not -MAX_WEIGHT < low <= high < MAX_WEIGHT:  # nor is NaN
                raise CheckpointError(
                    f"the weight {key!r} in {self.file.path.name} is damaged", expected=f"numbers below {MAX_WEIGHT:g}"
                )
        digest = self.file.metadata.get("digest")
        if _is_ours(self.file) and digest != _digest(weights):
            raise CheckpointError(f"the weights in {self.file.path.name} are not those that were written to it")
        network.load_state_dict(weights, assign=True)
        return network.freeze()


def load_generator(path: str | os.PathLike[str], *, seed: int = 0) -> StyleGAN:
    """A StyleGAN2 or StyleGAN3 from any of its public forms, frozen and ready for use.

    Its mean latent is the file's own or, where the file has none, the mean of 50,000 mapped codes. That is computed
    once and kept beside the file, if its folder can be written to.

    Args:
        path: the file.
        seed: of the codes for the mean latent.

    Raises:
        CheckpointError: if the file cannot be read as one of them; no code in it is run.
    """
    found = find_generator(read(path))
    check_size(found.file.path, found.state)
    generator = found.load()
    if isinstance(generator, StyleGAN2) and generator.latent_average is None:
        generator.latent_average = _mean_latent(found.file.path, generator, seed)
    return generator


def generator_from_state(state: Mapping[str, Tensor], **arguments: object) -> StyleGAN:
    """A generator from a state dict in memory, of any of the forms; it takes the tensors as they are.

    Args:
        state: key -> tensor.
        arguments: of :class:`StyleGAN2` or :class:`StyleGAN3`, what weights cannot say and a pickle would: ``clamp``,
            ``mapping_rate``; of the latter also ``geometry`` and ``scale``. Published networks need none of them but
            ``clamp=256`` where StyleGAN2-ADA was trained in half precision.

    Raises:
        CheckpointError: if it is not of one of the forms.
        InputError: if such an argument is not known.
    """
    held = {key: Held(tensor) for key, tensor in state.items()}
    return find_generator(File(Path("the state dict"), "state dict", held), arguments).load()


def save_generator(
    generator: StyleGAN, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a generator as safetensors, whole or not at all, in the form that :func:`load_generator` reads.

    Args:
        generator: the network.
        path: the file.
        metadata: more to write beside the sizes.

    Raises:
        FileError: if the file cannot be written.
    """
    family = stylegan2_files if isinstance(generator, StyleGAN2) else stylegan3_files
    sizes = {"format": family.FORMAT, **family.sizes(generator)}
    tensors = {key: tensor.detach().cpu().float() for key, tensor in generator.state_dict().items()}
    sizes["digest"] = _digest(tensors)
    write(Path(path), tensors, {**(metadata or {}), **sizes})


def find_generator(file: File, arguments: Mapping[str, object] | None = None) -> GeneratorFile:
    """The generator in a file.

    Args:
        file: the file.
        arguments: what is known of it beside; see :func:`generator_from_state`.

    Raises:
        CheckpointError: if there is none.
        InputError: if an argument is not known.
    """
    arguments = dict(arguments or {})
    entries = file.value if isinstance(file.value, Mapping) else {}
    modules = [entries.get("G_ema"), entries.get("G"), file.value]
    module = next((module for module in modules if isinstance(module, Persistent)), None)
    if module is not None:
        found = pickled(file, module)
        for family in (stylegan3_files, stylegan2_files):
            if family.MARK in found.state:
                return GeneratorFile(file, *family.from_pickle(file, found))
        raise CheckpointError(
            f"{file.path.name} holds a {found.class_name}", expected="a StyleGAN2 or StyleGAN3 generator"
        )
    states = states_in(file)
    for entry in ("g_ema", "g", "G_ema", "G", "state_dict", ""):
        for family in (stylegan3_files, stylegan2_files):
            known = family.from_state(file, states.get(entry, {}), entry, arguments)
            if known is not None:
                return GeneratorFile(file, *known)
    raise CheckpointError(
        f"{file.path.name} holds no StyleGAN generator",
        expected="the keys of rosinality's, NVIDIA's or maskedit's StyleGAN2, or of a StyleGAN3",
        actual=f"a {file.format} with "
        + (f"{len(states)} state dicts of other networks" if states else "no state dict"),
        hint="Other generators take part through maskedit.protocols.Generator; see docs/own/model.md.",
    )


def _is_ours(file: File) -> bool:
    return file.metadata.get("format") in (stylegan2_files.FORMAT, stylegan3_files.FORMAT)


def _some(keys: Iterable[str]) -> str:
    names = sorted(keys)
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "") if names else "none"


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without dimensions of size one, in which the forms differ."""
    return tuple(size for size in shape if size != 1)


def _digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and numbers: our own files know when they are damaged."""
    digest = hashlib.sha256()
    for key in sorted(weights):
        digest.update(f"{key} {list(weights[key].shape)}".encode())
        digest.update(weights[key].contiguous().numpy().data)
    return digest.hexdigest()


# --- the mean latent, kept beside the file ------------------------------------------------------------------------


def _mean_latent(path: Path, generator: StyleGAN2, seed: int) -> Float[Tensor, " dim"]:
    made_of = {"sha256": sha256(path), "samples": str(MEAN_SAMPLES), "seed": str(seed)}
    cache = path.with_name(f"{path.name}.{made_of['sha256'][:12]}.seed{seed}.mean.safetensors")
    try:
        file = read(cache)
        average = states_in(file)[""]["latent_average"].load()
        if dict(file.metadata) == made_of and average.shape == (generator.latent_dim,) and average.isfinite().all():
            return average
    except (CheckpointError, KeyError):
        pass  # not there yet, or not whole
    average = generator.mean_latent(MEAN_SAMPLES, seed)[0].clone()
    with contextlib.suppress(FileError):  # a folder that cannot be written to: computed again next time
        write(cache, {"latent_average": average}, made_of)
    return average
