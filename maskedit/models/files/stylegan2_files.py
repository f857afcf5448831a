"""Loads StyleGAN2 from all of its public forms, which one being seen from the file's content:

- rosinality's ``.pt``: ``g_ema`` with or without ``latent_avg``, or a bare state dict;
- the decoder in an encoder's checkpoint, as pSp, e4e and ReStyle write it;
- NVIDIA's StyleGAN2-ADA ``.pkl``: ``G_ema``, or a bare state dict;
- safetensors, as ``maskedit convert`` writes them.

Sizes are read from keys and shapes, and every tensor must have its place in the network before any is loaded.
"""

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import CheckpointError, FileError
from maskedit.files import sha256
from maskedit.models.files.checkpoints import File, Held, State, Stored, check_size, read, states_in, write
from maskedit.models.files.pickles import Persistent, StoredTensor
from maskedit.models.networks.stylegan2 import StyleGAN2

FORMAT = "maskedit.stylegan2"
"""What the metadata of our own files call their content."""
MEAN_SAMPLES = 50_000
MAX_RESOLUTION = 4096
MAX_WEIGHT = 1e8
"""Raw weights are around 1, those of mapping networks around 100; a bit flipped in an exponent shows."""


@dataclass(frozen=True)
class GeneratorFile:
    """A StyleGAN2 in a file, understood but not loaded.

    Args:
        file: the file.
        source: whose form of StyleGAN2 it is, in words.
        state: its tensors, under the names that :class:`StyleGAN2` has for them.
        clamp: bound on its features; None if it has none.
    """

    file: File
    source: str
    state: State
    clamp: float | None = None

    def config(self) -> dict[str, Any]:
        """The keyword arguments of :class:`StyleGAN2` that make a network of these sizes.

        Raises:
            CheckpointError: if no such network exists.
        """
        levels, depth = _children(self.state, "to_rgbs."), _children(self.state, "mapping.layers.")
        resolution = 2 ** (levels + 1) if levels < 32 else 0
        channels = tuple(math.prod(_shape(self.state, f"to_rgbs.{i}.weight")) // 3 for i in range(levels))
        latent_dim = _shape(self.state, "convs.0.style.weight")[-1]
        z_dim = _shape(self.state, "mapping.layers.0.weight")[-1] if depth else latent_dim
        if not 4 <= resolution <= MAX_RESOLUTION or not all((*channels, latent_dim, z_dim)):
            raise CheckpointError(
                f"{self.file.path.name} holds a StyleGAN2 of impossible size",
                expected=f"a resolution from 4 to {MAX_RESOLUTION} and channels at each",
                actual=f"{levels} layers to RGB",
            )
        return {
            "resolution": resolution,
            "latent_dim": latent_dim,
            "channels": channels,
            "mapping_layers": depth,
            "z_dim": z_dim,
            "clamp": self.clamp,
        }

    def outline(self) -> StyleGAN2:
        """The network without its weights (on the meta device), after checking that each has its place.

        Raises:
            CheckpointError: if keys or shapes do not fit together.
        """
        name = self.file.path.name
        with torch.device("meta"):
            network = StyleGAN2(**self.config())
            if "latent_average" in self.state:
                network.latent_average = torch.empty(network.latent_dim)
            for i, (height, width) in enumerate(network.noise_shapes):
                if f"noise_{i}" in self.state:
                    setattr(network, f"noise_{i}", torch.empty(1, 1, height, width))
        wanted = network.state_dict()
        missing, unknown = wanted.keys() - self.state.keys(), self.state.keys() - wanted.keys()
        if missing or unknown:
            raise CheckpointError(
                f"the StyleGAN2 in {name} is not of the form that its keys begin like",
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

    def load(self) -> StyleGAN2:
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
        if self.file.metadata.get("format") == FORMAT and self.file.metadata.get("digest") != _digest(weights):
            raise CheckpointError(f"the weights in {self.file.path.name} are not those that were written to it")
        network.load_state_dict(weights, assign=True)
        return network.freeze()


def load_generator(path: str | os.PathLike[str], *, seed: int = 0) -> StyleGAN2:
    """A StyleGAN2 from any of its public forms, frozen and ready for use.

    Its mean latent is the file's own or, where the file has none, the mean of 50,000 mapped codes. That is computed
    once and kept beside the file, if its folder can be written to.

    Args:
        path: the file.
        seed: of the codes for the mean latent.

    Raises:
        CheckpointError: if the file cannot be read as a StyleGAN2; no code in it is run.
    """
    found = find_generator(read(path))
    check_size(found.file.path, found.state)
    generator = found.load()
    if generator.latent_average is None:
        generator.latent_average = _mean_latent(found.file.path, generator, seed)
    return generator


def generator_from_state(state: Mapping[str, Tensor]) -> StyleGAN2:
    """A StyleGAN2 from a state dict in memory, of any of the forms; it takes the tensors as they are.

    Raises:
        CheckpointError: if it is not of one of the forms.
    """
    held = {key: Held(tensor) for key, tensor in state.items()}
    return find_generator(File(Path("the state dict"), "state dict", held)).load()


def save_generator(
    generator: StyleGAN2, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a generator as safetensors, whole or not at all, in the form that :func:`load_generator` reads.

    Args:
        generator: the network.
        path: the file.
        metadata: more to write beside the sizes.

    Raises:
        FileError: if the file cannot be written.
    """
    sizes = {
        "format": FORMAT,
        "resolution": str(generator.resolution),
        "latent_dim": str(generator.latent_dim),
        "z_dim": str(generator.z_dim),
        "mapping_layers": str(len(generator.mapping.layers)),
        "channels": " ".join(map(str, generator.channels)),
    }
    if generator.clamp is not None:
        sizes["clamp"] = repr(generator.clamp)
    tensors = {key: tensor.detach().cpu().float() for key, tensor in generator.state_dict().items()}
    sizes["digest"] = _digest(tensors)
    write(Path(path), tensors, {**(metadata or {}), **sizes})


def find_generator(file: File) -> GeneratorFile:
    """The StyleGAN2 in a file.

    Raises:
        CheckpointError: if there is none.
    """
    entries = _entries(file)
    modules = [entries.get("G_ema"), entries.get("G"), file.value]
    module = next((module for module in modules if isinstance(module, Persistent)), None)
    if module is not None:
        return _from_module(file, module)
    states = states_in(file)
    for entry in ("g_ema", "g", "G_ema", "G", "state_dict", ""):
        state = _decoder(states.get(entry, {}))
        for source, mark, translate in FORMS:
            if mark in state:
                found = _translated(state, translate)
                average = entries.get("latent_avg")
                if isinstance(average, StoredTensor) and "latent_average" not in found:
                    # Encoders repeat it for each layer.
                    found["latent_average"] = replace(average, shape=average.shape[-1:], stride=average.stride[-1:])
                source = f"{source} ({entry})" if entry else source
                return GeneratorFile(file, source, found, _clamp(file))
    raise CheckpointError(
        f"{file.path.name} holds no StyleGAN2 generator",
        expected="the keys of rosinality's, NVIDIA's or maskedit's StyleGAN2",
        actual=f"a {file.format} with "
        + (f"{len(states)} state dicts of other networks" if states else "no state dict"),
        hint="Other generators take part through maskedit.protocols.Generator; see examples/stylegan3_adapter.py.",
    )


def _decoder(state: State) -> State:
    """The generator alone, where a file holds it beside the encoder that was trained for it."""
    own = {key.removeprefix("decoder."): stored for key, stored in state.items() if key.startswith("decoder.")}
    return own or state


# --- the forms of StyleGAN2 ---------------------------------------------------------------------------------------

_ROSINALITY = {
    "conv.weight": "weight",
    "conv.modulation.weight": "style.weight",
    "conv.modulation.bias": "style.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}
_ADA = {
    "weight": "weight",
    "affine.weight": "style.weight",
    "affine.bias": "style.bias",
    "noise_strength": "noise_strength",
    "bias": "bias",
}


def _from_rosinality(key: str) -> str | None:
    match key.split("."):
        case [*_, "kernel"]:
            return None
        case ["latent_avg"]:
            return "latent_average"
        case ["input", "input"]:
            return "constant"
        case ["style", layer, leaf]:
            return f"mapping.layers.{int(layer) - 1}.{leaf}"
        case ["noises", noise]:
            return noise
        case ["conv1", *leaf]:
            return f"convs.0.{_ROSINALITY['.'.join(leaf)]}"
        case ["convs", layer, *leaf]:
            return f"convs.{int(layer) + 1}.{_ROSINALITY['.'.join(leaf)]}"
        case ["to_rgb1", *leaf]:
            return f"to_rgbs.0.{_ROSINALITY['.'.join(leaf)]}"
        case ["to_rgbs", layer, *leaf]:
            return f"to_rgbs.{int(layer) + 1}.{_ROSINALITY['.'.join(leaf)]}"
    raise KeyError(key)


def _from_ada(key: str) -> str | None:
    match key.split("."):
        case [*_, "resample_filter"]:
            return None
        case ["mapping", "w_avg"]:
            return "latent_average"
        case ["mapping", layer, leaf]:
            return f"mapping.layers.{int(layer.removeprefix('fc'))}.{leaf}"
        case ["synthesis", "b4", "const"]:
            return "constant"
        case ["synthesis", block, "torgb", *leaf]:
            return f"to_rgbs.{_level(block)}.{_ADA['.'.join(leaf)]}"
        case ["synthesis", block, ("conv0" | "conv1") as conv, *leaf]:
            index = 2 * _level(block) - (conv == "conv0")
            return f"noise_{index}" if leaf == ["noise_const"] else f"convs.{index}.{_ADA['.'.join(leaf)]}"
    raise KeyError(key)


def _level(block: str) -> int:
    return int(block.removeprefix("b")).bit_length() - 3


FORMS: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (
    ("StyleGAN2 of rosinality's form", "conv1.conv.weight", _from_rosinality),
    ("StyleGAN2-ADA of NVIDIA's form", "synthesis.b4.const", _from_ada),
    ("StyleGAN2 of maskedit's form", "convs.0.style.weight", lambda key: key),
)
"""Whose form it is, a key that only this form has, and our name for each of its keys (None: a constant)."""


def _translated(state: State, translate: Callable[[str], str | None]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for key, stored in state.items():
        try:
            name = translate(key)
        except (KeyError, ValueError):
            name = f"unknown {key}"
            if ".embed." in key:
                raise CheckpointError("this StyleGAN2 draws by class label", expected="one without labels") from None
        if name is None:
            _check_filter(key, stored)
        elif name in found:
            raise CheckpointError(f"the checkpoint has {name!r} twice")
        else:
            found[name] = stored
    return found


def _check_filter(key: str, stored: Stored) -> None:
    """Resampling filters are constants here; another one would be another network."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    if stored.shape == (4, 4):
        filter = stored.load().float()
        if torch.allclose(filter / filter.sum(), taps.outer(taps) / 64, atol=1e-4):
            return
    raise CheckpointError(
        f"{key!r} is a resampling filter that is not built here", expected="[1, 3, 3, 1] outer itself"
    )


def _from_module(file: File, module: Persistent) -> GeneratorFile:
    """A pickled generator of NVIDIA's, whose attributes also say what its keys cannot."""
    state: dict[str, Stored] = {}
    clamps: set[object] = set()
    waiting: list[tuple[str, Persistent]] = [("", module)]
    for prefix, part in waiting:  # grows while it is walked
        if len(waiting) > 1000 or prefix.count(".") > 8:
            raise CheckpointError(f"the modules of {file.path.name} are nested without end")
        _check_kind(prefix, part)
        if "conv_clamp" in part.state:
            clamps.add(part.state["conv_clamp"])
        for key, item in _mapping(part.state, "_modules").items():
            if isinstance(item, Persistent):
                waiting.append((f"{prefix}{key}.", item))
        for kind in ("_parameters", "_buffers"):
            tensors = _mapping(part.state, kind).items()
            state.update({f"{prefix}{key}": item for key, item in tensors if isinstance(item, StoredTensor)})
    if any(key.startswith("synthesis.input.") for key in state):
        raise CheckpointError(
            f"{file.path.name} holds a StyleGAN3",
            expected="a StyleGAN2",
            hint="Wrap your StyleGAN3 module as a maskedit.protocols.Generator; see examples/stylegan3_adapter.py.",
        )
    if "synthesis.b4.const" not in state:
        raise CheckpointError(f"{file.path.name} holds a {module.class_name}", expected="a StyleGAN2 generator")
    match sorted(clamps, key=repr):
        case [] | [None]:
            clamp = None
        case [float() | int() as bound] if bound > 0:
            clamp = float(bound)
        case several:
            raise CheckpointError(
                f"the layers of {file.path.name} are clamped to different bounds", actual=str(several)
            )
    entry = next((f" ({name})" for name, item in _entries(file).items() if item is module), "")
    return GeneratorFile(file, f"StyleGAN2-ADA of NVIDIA's form{entry}", _translated(state, _from_ada), clamp)


_BUILT_HERE: Mapping[str, tuple[object, ...]] = {
    "architecture": ("skip",),
    "activation": ("lrelu", "linear"),
    "img_channels": (3,),
    "c_dim": (0,),
}


def _check_kind(prefix: str, part: Persistent) -> None:
    for name, known in _BUILT_HERE.items():
        if name in part.state and part.state[name] not in known:
            raise CheckpointError(
                f"this StyleGAN2-ADA is of a kind that is not built here: {prefix}{name}",
                expected=" or ".join(map(repr, known)),
                actual=repr(part.state[name])[:100],
            )
    gain, weight = part.state.get("weight_gain"), _mapping(part.state, "_parameters").get("weight")
    if isinstance(gain, float) and isinstance(weight, StoredTensor) and len(weight.shape) == 2:
        rate = 0.01 if prefix.startswith("mapping.") else 1.0
        if not math.isclose(gain, rate / math.sqrt(weight.shape[1]), rel_tol=1e-4):
            raise CheckpointError(
                f"the learning-rate multiplier of {prefix}weight is not {rate}", actual=f"gain {gain}"
            )


def _entries(file: File) -> Mapping[object, object]:
    return file.value if isinstance(file.value, Mapping) else {}


def _mapping(state: Mapping[str, object], name: str) -> Mapping[object, object]:
    value = state.get(name)
    return value if isinstance(value, Mapping) else {}


def _clamp(file: File) -> float | None:
    text = file.metadata.get("clamp")
    try:
        return None if text is None else float(text)
    except ValueError as error:
        raise CheckpointError(f"the metadata of {file.path.name} are damaged", actual=f"clamp {text!r}") from error


def _children(state: State, prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _shape(state: State, key: str) -> tuple[int, ...]:
    if key not in state or not state[key].shape:
        raise CheckpointError(f"the StyleGAN2 is incomplete: {key!r} is missing")
    return state[key].shape


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
