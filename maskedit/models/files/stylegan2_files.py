"""What a StyleGAN2 in a file is: rosinality's names for its weights, NVIDIA's and ours, and the sizes they give."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from maskedit.errors import CheckpointError, InputError
from maskedit.models.files.checkpoints import File, State, Stored
from maskedit.models.files.nvidia import FIRST_RATE, Pickled
from maskedit.models.files.pickles import StoredTensor
from maskedit.models.networks.resampling import DEFAULT_TAPS
from maskedit.models.networks.stylegan2 import StyleGAN2

FORMAT = "maskedit.stylegan2"
"""What the metadata of our own files call their content."""
MARK = "synthesis.b4.const"
"""A key that only NVIDIA's StyleGAN2 has."""
MAX_RESOLUTION = 4096
MAX_TAPS = 64

Make = Callable[[], StyleGAN2]


def from_pickle(file: File, found: Pickled) -> tuple[str, State, Make]:
    """The form, weights and maker of a StyleGAN2-ADA in NVIDIA's pickle, whose attributes say what keys cannot.

    Raises:
        CheckpointError: if it is of a kind that is not built here.
    """
    for attribute, known in _BUILT_HERE.items():
        for value in found.values(attribute) - known:
            raise CheckpointError(
                f"this StyleGAN2-ADA is of a kind that is not built here: {attribute}",
                expected=" or ".join(sorted(map(repr, known))),
                actual=repr(value)[:100],
            )
    match sorted(found.values("conv_clamp"), key=repr):
        case [] | [None]:
            clamp = None
        case [float() | int() as bound] if bound > 0:
            clamp = float(bound)
        case several:
            raise CheckpointError(
                f"the layers of {file.path.name} are clamped to different bounds", actual=str(several)
            )
    said = {"clamp": clamp, "mapping_rate": found.rate()}
    state, taps = _translated(found.state, _from_ada)
    return f"StyleGAN2-ADA of NVIDIA's form{found.entry}", state, lambda: _network(file, state, {**said, "taps": taps})


def from_state(file: File, state: State, entry: str, arguments: Mapping[str, object]) -> tuple[str, State, Make] | None:
    """The form, weights and maker of a StyleGAN2 in a state dict; None if it is none.

    Raises:
        CheckpointError: if it is not of the form that it begins like.
        InputError: if an argument is not known.
    """
    # The generator alone, where a file holds it beside the encoder that was trained for it.
    own = {key.removeprefix("decoder."): stored for key, stored in state.items() if key.startswith("decoder.")}
    state = own or state
    form = next(((source, translate) for source, mark, translate in FORMS if mark in state), None)
    if form is None:
        return None
    source, translate = form
    unknown = arguments.keys() - {"clamp", "mapping_rate"}
    if unknown:
        raise InputError("StyleGAN2 is told no such thing", expected="clamp, mapping_rate", actual=", ".join(unknown))
    found, taps = _translated(state, translate)
    average = file.value.get("latent_avg") if isinstance(file.value, Mapping) else None
    if isinstance(average, StoredTensor) and "latent_average" not in found:
        # Encoders repeat it for each layer.
        found["latent_average"] = replace(average, shape=average.shape[-1:], stride=average.stride[-1:])
    given = {name: None if value is None else float(value) for name, value in arguments.items()}  # type: ignore[arg-type]
    said = {"taps": taps, **_said(file), **given}
    return f"{source} ({entry})" if entry else source, found, lambda: _network(file, found, said)


def sizes(generator: StyleGAN2) -> dict[str, str]:
    """What the metadata of our own files say of a generator; needed are only ``clamp``, ``mapping_rate``, ``taps``."""
    said = {
        "resolution": str(generator.resolution),
        "latent_dim": str(generator.latent_dim),
        "z_dim": str(generator.z_dim),
        "mapping_layers": str(len(generator.mapping.layers)),
        "channels": " ".join(map(str, generator.channels)),
    }
    if generator.clamp is not None:
        said["clamp"] = repr(generator.clamp)
    if generator.mapping.rate != FIRST_RATE:
        said["mapping_rate"] = repr(generator.mapping.rate)
    if generator.taps != DEFAULT_TAPS:
        said["taps"] = " ".join(map(repr, generator.taps))
    return said


def _said(file: File) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name in ("clamp", "mapping_rate", "taps"):
        text = file.metadata.get(name)
        try:
            if text is not None:
                said[name] = tuple(map(float, text.split())) if name == "taps" else float(text)
        except ValueError as error:
            raise CheckpointError(f"the metadata of {file.path.name} are damaged", actual=f"{name} {text!r}") from error
    return said


def _network(file: File, state: State, said: Mapping[str, Any]) -> StyleGAN2:
    """The network of these sizes.

    Raises:
        CheckpointError: if no such network exists.
    """
    rgbs, convs, depth = (_children(state, prefix) for prefix in ("to_rgbs.", "convs.", "mapping.layers."))
    colours = math.prod(_shape(state, "to_rgbs.0.bias"))
    residual, single = _children(state, "skips.") > 0, rgbs == 1 and convs > 1
    if residual or single:
        levels = (convs + 1) // 2
        channels = tuple(_shape(state, f"convs.{2 * i}.weight")[-4] for i in range(levels if levels < 32 else 0))
    else:
        levels = rgbs
        channels = tuple(math.prod(_shape(state, f"to_rgbs.{i}.weight")) // max(colours, 1) for i in range(levels))
    resolution = 2 ** (levels + 1) if levels < 32 else 0
    latent_dim = _shape(state, "convs.0.style.weight")[-1]
    embed = "mapping.embed.weight"
    embedding, classes = _shape(state, embed)[-2:] if embed in state else (0, 0)
    z_dim = _shape(state, "mapping.layers.0.weight")[-1] - embedding if depth else latent_dim
    sensible = 4 <= resolution <= MAX_RESOLUTION and all((*channels, latent_dim)) and colours in (1, 3)
    if not sensible or z_dim < 0 or not z_dim + classes:
        raise CheckpointError(
            f"{file.path.name} holds a StyleGAN2 of impossible size",
            expected=f"a resolution from 4 to {MAX_RESOLUTION} and channels at each",
            actual=f"{levels} layers to RGB",
        )
    network = StyleGAN2(
        resolution=resolution,
        latent_dim=latent_dim,
        channels=channels,
        mapping_layers=depth,
        mapping_width=_shape(state, "mapping.layers.0.weight")[0] if depth > 1 else None,
        z_dim=z_dim,
        classes=classes,
        embedding=embedding or None,
        architecture="resnet" if residual else "orig" if single else "skip",
        colours=colours,
        noisy=any(key.endswith(".noise_strength") for key in state),
        **said,
    )
    if "latent_average" in state:
        network.latent_average = torch.empty(latent_dim)
    for i, (height, width) in enumerate(network.noise_shapes):
        if f"noise_{i}" in state:
            setattr(network, f"noise_{i}", torch.empty(1, 1, height, width))
    return network


# --- the forms ----------------------------------------------------------------------------------------------------

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
        case ["mapping", "embed", _]:
            return key
        case ["mapping", layer, leaf]:
            return f"mapping.layers.{int(layer.removeprefix('fc'))}.{leaf}"
        case ["synthesis", "b4", "const"]:
            return "constant"
        case ["synthesis", block, "torgb", *leaf]:
            return f"to_rgbs.{_level(block)}.{_ADA['.'.join(leaf)]}"
        case ["synthesis", block, "skip", "weight"]:
            return f"skips.{_level(block) - 1}.weight"
        case ["synthesis", block, ("conv0" | "conv1") as conv, *leaf]:
            index = 2 * _level(block) - (conv == "conv0")
            return f"noise_{index}" if leaf == ["noise_const"] else f"convs.{index}.{_ADA['.'.join(leaf)]}"
    raise KeyError(key)


def _level(block: str) -> int:
    return int(block.removeprefix("b")).bit_length() - 3


FORMS: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (
    ("StyleGAN2 of rosinality's form", "conv1.conv.weight", _from_rosinality),
    ("StyleGAN2-ADA of NVIDIA's form", MARK, _from_ada),
    ("StyleGAN2 of maskedit's form", "convs.0.style.weight", lambda key: key),
)
"""Whose form it is, a key that only this form has, and our name for each of its keys (None: a filter)."""

_BUILT_HERE: Mapping[str, set[object]] = {
    "architecture": {"skip", "orig", "resnet"},
    "activation": {"lrelu", "linear"},
    "img_channels": {1, 3},
}


def _translated(state: State, translate: Callable[[str], str | None]) -> tuple[dict[str, Stored], tuple[float, ...]]:
    """The weights under our names, and the taps of the filter that doubles."""
    found: dict[str, Stored] = {}
    filters: dict[str, Stored] = {}
    for key, stored in state.items():
        try:
            name = translate(key)
        except (KeyError, ValueError):
            name = f"unknown {key}"
        if name is None:
            filters[key] = stored
        elif name in found:
            raise CheckpointError(f"the checkpoint has {name!r} twice")
        else:
            found[name] = stored
    drawn = sorted({key.split(".")[1] for key in found if key.startswith("to_rgbs.")})
    if len(drawn) == 1:  # the last resolution alone
        found = {key.replace(f"to_rgbs.{drawn[0]}.", "to_rgbs.0."): stored for key, stored in found.items()}
    taps = {_taps(key, stored) for key, stored in _doubling(filters)}
    if len(taps) > 1:
        raise CheckpointError("the checkpoint has different resampling filters", expected="one for all layers")
    return found, next(iter(taps), DEFAULT_TAPS)


def _doubling(filters: Mapping[str, Stored]) -> Iterator[tuple[str, Stored]]:
    """The filters that are used: NVIDIA's layers have one even where nothing is resampled."""
    for key, stored in filters.items():
        if not key.endswith(".conv1.resample_filter"):
            yield key, stored


def _taps(key: str, stored: Stored) -> tuple[float, ...]:
    """The taps of a filter along one axis, of which the file may hold the product for both."""
    shape = stored.shape
    if shape and len(shape) <= 2 and 0 < shape[0] <= MAX_TAPS and len(set(shape)) == 1:
        filter = stored.load().float()
        filter = filter / filter.sum()
        along = filter if filter.ndim == 1 else filter.sum(0)
        if filter.isfinite().all() and (filter.ndim == 1 or torch.allclose(filter, along.outer(along), atol=1e-4)):
            default = torch.tensor(DEFAULT_TAPS)
            if along.shape == default.shape and torch.allclose(along, default / default.sum(), atol=1e-4):
                return DEFAULT_TAPS
            return tuple(float(f"{tap:.7g}") for tap in along.tolist())
    raise CheckpointError(
        f"{key!r} is a resampling filter that is not built here", expected="a filter along one axis, or outer itself"
    )


def _children(state: State, prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _shape(state: State, key: str) -> tuple[int, ...]:
    if key not in state or not state[key].shape:
        raise CheckpointError(f"the StyleGAN2 is incomplete: {key!r} is missing")
    return state[key].shape
