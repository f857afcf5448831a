"""The models that come with maskedit; the cards beside this file say how they were made and what they can."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedit.errors import CheckpointError, InputError
from maskedit.files import write_whole
from maskedit.models.files.state_dict import fill
from maskedit.models.geometry.classifier import ShapeClassifier
from maskedit.models.networks.face_embedding import FaceEmbedding
from maskedit.models.networks.portraits import (
    LandmarkNet,
    PortraitClassifier,
    PortraitEncoder,
    PortraitJudge,
    PortraitParser,
)
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.protocols import LatentDistribution, Models

WEIGHTS = Path(__file__).parent

NETWORKS: Mapping[str, type[nn.Module]] = {
    "generator": StyleGAN2,
    "encoder": PortraitEncoder,
    "parser": PortraitParser,
    "classifier": PortraitClassifier,
    "judge": PortraitJudge,
    "landmarks": LandmarkNet,
    "embedding": FaceEmbedding,
    "shapes": ShapeClassifier,
}

SIGNIFICANT = 8
"""Bits of each weight that are kept: bfloat16's, in which the networks were trained."""


def load(name: str = "portraits", *, device: torch.device | str = "cpu") -> Models:
    """The bundled models of that name, frozen and ready for use.

    Args:
        name: "portraits": faces aligned as in FFHQ; generator, encoder, parser and classifier, with the distribution
            of latents.
        device: where they shall work.

    Raises:
        InputError: if there are none of that name.
    """
    if name != "portraits":
        raise InputError(f"no bundled models are called {name!r}", expected="'portraits'")
    networks, tensors = read_networks(WEIGHTS / "portraits.safetensors")
    for network in networks.values():
        network.to(device)
    generator, encoder, parser, classifier = (
        networks[part] for part in ("generator", "encoder", "parser", "classifier")
    )
    assert isinstance(generator, StyleGAN2)
    assert isinstance(encoder, PortraitEncoder)
    assert isinstance(parser, PortraitParser)
    assert isinstance(classifier, PortraitClassifier)
    own = {key.removeprefix("latents."): value.float().to(device) for key, value in tensors.items()}
    directions = {key.removeprefix("directions."): own[key] for key in sorted(own) if key.startswith("directions.")}
    bent = own["components"]  # by rounding; a step of Newton and Schulz makes them orthonormal again
    components = 1.5 * bent - 0.5 * (bent @ bent.mT) @ bent
    latents = LatentDistribution(own["mean"], components, own["deviations"], directions)
    return Models(
        generator=generator.freeze(),
        parser=parser,
        classifier=classifier,
        encoder=encoder,
        mean_latent=latents.mean,
        latents=latents,
    )


@cache
def load_landmarks() -> LandmarkNet:
    """The bundled network that finds the 68 points of a face in a loose crop around it, frozen; read once."""
    network = read_networks(WEIGHTS / "landmarks.safetensors")[0]["landmarks"]
    assert isinstance(network, LandmarkNet)
    return network


@cache
def load_judge() -> PortraitJudge:
    """The bundled second classifier, which no edit is optimised against, frozen; read once."""
    network = read_networks(WEIGHTS / "judge.safetensors")[0]["judge"]
    assert isinstance(network, PortraitJudge)
    return network


@cache
def load_embedding() -> FaceEmbedding:
    """The bundled network that figures of pictures and edits are taken with, frozen; read once."""
    network = read_networks(WEIGHTS / "embedding.safetensors")[0]["embedding"]
    assert isinstance(network, FaceEmbedding)
    return network


def read_networks(path: Path) -> tuple[dict[str, nn.Module], dict[str, Tensor]]:
    """The networks in a file of bundled weights, and the tensors that belong to none.

    The file's metadata hold, under "networks", the keyword arguments of each network as JSON; its weights are the
    keys that begin with its name.

    Raises:
        CheckpointError: if the file is missing or no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            configs: dict[str, dict[str, Any]] = json.loads((file.metadata() or {})["networks"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (the file is no dictionary)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"the bundled weights {path.name} cannot be read", actual=str(error)) from error
    networks = {}
    for name, config in configs.items():
        with torch.device("meta"):
            network = NETWORKS[name](**config)
        keys = [key for key in tensors if key.startswith(name + ".")]
        networks[name] = fill(network, {key.removeprefix(name + "."): tensors.pop(key) for key in keys})
    return networks, tensors


def write_networks(
    path: Path, networks: Mapping[str, tuple[nn.Module, Mapping[str, Any]]], tensors: Mapping[str, Tensor] | None = None
) -> None:
    """What :func:`read_networks` reads: weights in half precision, :func:`rounded`; the other tensors as they are.

    Args:
        path: the file; written whole or not at all.
        networks: each with the keyword arguments that make one like it.
        tensors: more to keep.

    Raises:
        FileError: if it cannot be written.
    """
    from safetensors.torch import save

    state = {key: value.contiguous() for key, value in (tensors or {}).items()}
    for name, (network, _) in networks.items():
        for key, value in network.state_dict().items():
            state[f"{name}.{key}"] = rounded(value) if value.is_floating_point() else value.contiguous()
    configs = {name: dict(config) for name, (_, config) in networks.items()}
    write_whole(path, save(state, {"networks": json.dumps(configs), "format": "pt"}))


def rounded(values: Tensor) -> Tensor:
    """In float16, the nearest numbers of ``SIGNIFICANT`` bits; the bits after them are zero, and pack well."""
    dropped = 11 - SIGNIFICANT  # float16 has 11, the first of them not written
    bits = values.half().contiguous().view(torch.int16).int()
    return ((bits + (1 << (dropped - 1))) & -(1 << dropped)).to(torch.int16).view(torch.float16)
