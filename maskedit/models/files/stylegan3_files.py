"""What a StyleGAN3 in a file is: NVIDIA's keys, which are also ours, and the sizes they give."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from maskedit.errors import CheckpointError, InputError
from maskedit.models.files.checkpoints import File, State
from maskedit.models.files.nvidia import FIRST_RATE, Pickled
from maskedit.models.networks.stylegan3 import Geometry, StyleGAN3

FORMAT = "maskedit.stylegan3"
"""What the metadata of our own files call their content."""
MARK = "synthesis.input.weight"
"""A key that only StyleGAN3 has."""
MAX_RESOLUTION, MAX_LAYERS = 4096, 100

Make = Callable[[], StyleGAN3]

_GEOMETRY = {
    "num_layers": "layers",
    "num_critical": "critical",
    "first_cutoff": "first_cutoff",
    "first_stopband": "first_stopband",
    "last_stopband_rel": "last_stopband",
    "margin_size": "margin",
}
"""NVIDIA's arguments and ours."""
_FIXED = {"filter_size": 6, "lrelu_upsampling": 2}
"""Arguments that no published network changes."""


def from_pickle(file: File, found: Pickled) -> tuple[str, State, Make]:
    """The form, weights and maker of a StyleGAN3 in NVIDIA's pickle, whose arguments say what keys cannot.

    Raises:
        CheckpointError: if it is of a kind that is not built here.
    """
    given = found.arguments()
    for name, wanted in _FIXED.items():
        if given.get(name, wanted) != wanted:
            raise CheckpointError(
                f"this StyleGAN3 is of a kind that is not built here: {name}",
                expected=str(wanted),
                actual=str(given[name])[:100],
            )
    said: dict[str, Any] = {ours: given[name] for name, ours in _GEOMETRY.items() if name in given}
    said |= {"mapping_rate": found.rate(), "scale": given.get("output_scale", 0.25)}
    said["clamp"] = given.get("conv_clamp", 256.0)
    form = f"{_family(found.state)} of NVIDIA's form{found.entry}"
    return form, found.state, lambda: _network(file, found.state, _numbers(file, said))


def from_state(file: File, state: State, entry: str, arguments: Mapping[str, object]) -> tuple[str, State, Make] | None:
    """The form, weights and maker of a StyleGAN3 in a state dict; None if it is none.

    Raises:
        CheckpointError: if it is not of the form that it begins like.
        InputError: if an argument is not known.
    """
    if MARK not in state:
        return None
    known = {"geometry", "scale", "clamp", "mapping_rate"}
    if arguments.keys() - known or not isinstance(arguments.get("geometry", Geometry()), Geometry):
        raise InputError(
            "StyleGAN3 is told no such thing",
            expected="geometry (a Geometry), scale, clamp, mapping_rate",
            actual=", ".join(arguments),
        )
    names = (*_GEOMETRY.values(), "scale", "clamp", "mapping_rate")
    said: dict[str, object] = {name: file.metadata[name] for name in names if name in file.metadata}
    said |= {name: value for name, value in arguments.items() if name != "geometry"}
    geometry = arguments.get("geometry")
    if isinstance(geometry, Geometry):
        said |= {name: value for name, value in asdict(geometry).items() if name != "resolution"}
    form = f"{_family(state)} of {'maskedit' if file.metadata.get('format') == FORMAT else 'NVIDIA'}'s form"
    return f"{form} ({entry})" if entry else form, state, lambda: _network(file, state, _numbers(file, said))


def sizes(generator: StyleGAN3) -> dict[str, str]:
    """What the metadata of our own files say of a generator, where it is not as published."""
    said = {
        "resolution": str(generator.resolution),
        "latent_dim": str(generator.latent_dim),
        "z_dim": str(generator.z_dim),
        "mapping_layers": str(generator.mapping.depth),
        "channels": " ".join(map(str, generator.channels)),
    }
    usual = Geometry(resolution=generator.resolution)
    for field in fields(Geometry):
        value = getattr(generator.geometry, field.name)
        if value != getattr(usual, field.name):
            said[field.name] = repr(value)
    for name, value, published in (
        ("scale", generator.scale, 0.25),
        ("clamp", generator.clamp, 256.0),
        ("mapping_rate", generator.mapping.rate, FIRST_RATE),
    ):
        if value != published:
            said[name] = repr(value)
    return said


def _family(state: State) -> str:
    """StyleGAN3-T or StyleGAN3-R, as the layers are."""
    kernels = {
        stored.shape[-1] for key, stored in state.items() if re.fullmatch(_LAYER + "weight", key) and stored.shape
    }
    radial = any(key.endswith(".down_filter") and len(stored.shape) == 2 for key, stored in state.items())
    return {(True, True): "StyleGAN3-T", (False, False): "StyleGAN3-R"}.get((3 in kernels, not radial), "StyleGAN3")


_LAYER = r"synthesis\.L(\d{1,3})_(\d{1,5})_(\d{1,5})\."


def _numbers(file: File, said: Mapping[str, object]) -> dict[str, Any]:
    """Texts of our metadata as numbers; whole ones where counts are meant.

    Raises:
        CheckpointError: if they are none.
    """
    numbers: dict[str, Any] = {}
    for name, value in said.items():
        whole = name in ("layers", "critical", "margin")
        try:
            number = None if value in (None, "None") and name == "clamp" else float(value)  # type: ignore[arg-type]
            if (number is not None and not 0 <= number <= 1e6) or (whole and number != int(number or 0)):
                raise ValueError
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"{file.path.name} says what no StyleGAN3 can be", actual=f"{name} {str(value)[:100]!r}"
            ) from error
        numbers[name] = int(number) if whole and number is not None else number
    return numbers


def _network(file: File, state: State, said: Mapping[str, Any]) -> StyleGAN3:
    """The network of these sizes.

    Raises:
        CheckpointError: if no such network exists.
    """
    matches = (re.match(_LAYER, key) for key in state)
    layers = sorted({tuple(map(int, match.groups())) for match in matches if match})
    names = [f"L{i}_{size}_{channels}" for i, size, channels in layers]
    if [i for i, _, _ in layers] != list(range(len(layers))) or not 2 < len(layers) <= MAX_LAYERS:
        raise CheckpointError(
            f"{file.path.name} holds a StyleGAN3 of impossible size",
            expected="layers L0, L1, ..., each once",
            actual=", ".join(names[:4]) + (", ..." if len(names) > 4 else ""),
        )
    resolution = layers[-1][1]
    geometry = {field.name: said[field.name] for field in fields(Geometry) if field.name in said}
    geometry |= {"resolution": resolution, "layers": len(layers) - 1}
    others = {name: value for name, value in said.items() if name not in geometry}
    embed = "mapping.embed.weight"
    embedding, classes = _shape(state, embed)[-2:] if embed in state else (0, 0)
    first = f"synthesis.{names[0]}."
    try:
        plan = Geometry(**geometry)
        expected = [plan.level(i).size for i in range(len(layers))] if resolution <= MAX_RESOLUTION else []
        if expected != [size for _, size, _ in layers]:
            raise CheckpointError(
                f"the layers of {file.path.name} are of other sizes than StyleGAN3's arguments give",
                expected=", ".join(map(str, expected[:4])) + ", ...",
                actual=", ".join(str(size) for _, size, _ in layers[:4]) + ", ...",
                hint="Arguments that were changed are in the pickle, not in the weights: load that.",
            )
        latent_dim = _shape(state, f"{first}affine.weight")[-1]
        return StyleGAN3(
            geometry=plan,
            latent_dim=latent_dim,
            z_dim=_shape(state, "mapping.fc0.weight")[-1] - embedding,
            classes=classes,
            channels=[channels for _, _, channels in layers[:-1]],
            colours=layers[-1][2],
            kernel=_shape(state, f"{first}weight")[-1],
            radial=len(_shape(state, f"{first}down_filter")) == 2,
            mapping_layers=len({key.split(".")[1] for key in state if key.startswith("mapping.fc")}),
            **others,
        )
    except InputError as error:
        raise CheckpointError(f"{file.path.name} holds a StyleGAN3 of impossible size: {error}") from error


def _shape(state: State, key: str) -> tuple[int, ...]:
    if key not in state or not state[key].shape or not all(state[key].shape):
        raise CheckpointError(f"the StyleGAN3 is incomplete: {key!r} is missing")
    return state[key].shape
