"""Turn finished (or running) trainings into the bundled weights.

``python -m maskedit.training.pack --faces FOLDER --labels LABELS --runs RUNS --out WEIGHTS`` reads the averaged weights
of ``RUNS/generator``, ``RUNS/parser``, ``RUNS/classifier``, ``RUNS/judge`` and ``RUNS/landmarks``.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedit.models.networks.portraits import BRANCHES, PortraitEncoder
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.weights.bundled import NETWORKS, rounded, write_networks
from maskedit.training.classifier import known_of
from maskedit.training.directions import latents_of
from maskedit.training.faces import load_faces
from maskedit.training.generator import encoder_config, generator_config
from maskedit.training.given_attributes import read_attributes
from maskedit.training.labels import load_labels
from maskedit.training.loop import ema_weights

COMPONENTS = 128
"""How many principal components of the latents are kept."""


CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "classifier": {"branches": {name: list(group) for name, group in BRANCHES.items()}},
    "judge": {"attributes": [name for group in BRANCHES.values() for name in group]},
}
"""What the file says of a network beside its weights, so that another default does not spoil it."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--labels", type=Path, required=True, help="folder that maskedit.training.labels wrote")
    parser.add_argument("--seen", type=Path, help="CSV of attributes given by eye, in place of measured ones")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trainings' folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--resolution", type=int, default=64, help="of the generator")
    options = parser.parse_args(arguments)

    def trained(
        name: str, config: Mapping[str, Any], weights: dict[str, Tensor]
    ) -> tuple[nn.Module, Mapping[str, Any]]:
        network = NETWORKS[name](**config)
        network.load_state_dict(weights)
        return network.eval().requires_grad_(False), config

    drawn = ema_weights(options.runs / "generator" / "checkpoint.safetensors")
    generator = trained("generator", generator_config(options.resolution), within(drawn, "0."))
    assert isinstance(generator[0], StyleGAN2)
    encoder = trained("encoder", encoder_config(generator[0]), within(drawn, "1."))
    rest = {
        name: trained(name, CONFIGS.get(name, {}), ema_weights(options.runs / name / "checkpoint.safetensors"))
        for name in ("parser", "classifier", "landmarks", "judge")
    }
    assert isinstance(encoder[0], PortraitEncoder)
    faces = load_faces(options.faces, "train")
    names = [name for group in BRANCHES.values() for name in group]
    seen = read_attributes(options.seen) if options.seen else None
    known = known_of(faces, load_labels(options.labels, faces), names, seen)
    latents = latents_of(encoder[0].half().float(), faces, COMPONENTS, dict(zip(names, known.mT, strict=True)))

    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("landmarks", "judge"):
        write_networks(options.out / f"{name}.safetensors", {name: rest.pop(name)})
    write_networks(
        options.out / "portraits.safetensors",
        {"generator": generator, "encoder": encoder, **rest},
        {
            "latents.mean": latents.mean,
            "latents.components": rounded(latents.components),
            "latents.deviations": latents.deviations,
            **{f"latents.directions.{name}": rounded(direction) for name, direction in latents.directions.items()},
        },
    )
    for path in sorted(options.out.glob("*.safetensors")):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


def within(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights of one part of a network."""
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


if __name__ == "__main__":
    with torch.no_grad():
        main()
