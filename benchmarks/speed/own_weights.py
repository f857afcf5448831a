"""A photo edited with published networks at full size, from their files: seconds and peak memory of each stage.

Processor seconds are beside the clock's: all threads' together, and the same on a machine that others use too.

    python -m benchmarks.speed.own_weights --files FOLDER            # 1024 px: about ten minutes on two cores
    python -m benchmarks.speed.own_weights --size 64 --narrower 4    # to try it out

The first call writes the files, as their authors publish them, with weights by formula: an e4e checkpoint with its
StyleGAN2, MaskFaceGAN's parser and its attribute tree. The picture that comes out means nothing; seconds and memory are
those of the real networks. Peak memory is the process's so far: a stage that needs less than one before it shows the
same number.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import maskedit as me
from benchmarks.speed import workload
from benchmarks.speed.times import positive
from maskedit.files import write_whole
from maskedit.models import load_encoder, load_generator, load_models
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.psp import StyleEncoder
from maskedit.models.networks.resnet import ResNet
from maskedit.models.region_labels import RELEASED_LABELS
from maskedit.photo import edit_photo
from tests.data import formula
from tests.models.files.checkpoint_files import detached, rosinality_state

POINTS = torch.tensor([[0.385, 0.48], [0.615, 0.48], [0.5, 0.6], [0.42, 0.72], [0.58, 0.72]])
"""Eyes, nose and corners of the mouth of an aligned face, as shares of the picture."""


def write_files(folder: Path, size: int, narrower: int) -> dict[str, Path]:
    """The three files, by what they are for; those that are there stay."""
    paths = {"generator": folder / "e4e_ffhq_encode.pt", "parser": folder / "FaceParser.ckpt"}
    paths |= {"encoder": paths["generator"], "classifier": folder / "BranchedTiny.ckpt"}
    if not paths["encoder"].exists():
        generator = workload.generator(size, narrower)
        dim, (rows, _) = 512 // narrower, generator.latent_shape
        encoder = StyleEncoder(rows=rows, progressive=True, width=64 // narrower)
        state = {f"encoder.{key}": calm(key, weight) for key, weight in encoder.state_dict().items()}
        state |= {f"decoder.{key}": weight for key, weight in detached(rosinality_state(generator)).items()}
        average = formula.fill("latent_avg", torch.empty(rows, dim))[:1].repeat(rows, 1)
        options = {"encoder_type": "Encoder4Editing", "stylegan_size": size, "start_from_latent_avg": True}
        torch.save({"state_dict": state, "latent_avg": average, "opts": options}, paths["encoder"])
    if not paths["parser"].exists():
        trunk = ResNet(width=64 // narrower, dilated=True)
        parser = DeepLabV3(backbone=trunk, classes=len(RELEASED_LABELS), hidden=256 // narrower)
        torch.save({"state_dict": formula.fill_(parser).state_dict()}, paths["parser"])
    if not paths["classifier"].exists():
        tree = AttributeTree(width=64 // narrower, hidden=128 // narrower)
        torch.save({"state_dict": formula.fill_(tree).state_dict()}, paths["classifier"])
    return paths


def calm(key: str, weight: torch.Tensor) -> torch.Tensor:
    """A weight by formula, scaled where an IR-SE50 of such weights would explode."""
    scale = 0.25 if key.endswith(("input_layer.2.weight", "res_layer.2.weight")) else 1.0
    scale = 0.5 if key.endswith("res_layer.4.weight") else scale
    return formula.fill(f"encoder.{key}", weight) * scale if weight.is_floating_point() else weight


@contextmanager
def stage(name: str, rows: list[dict[str, Any]]) -> Iterator[None]:
    """Adds a row, and prints it."""
    begun, worked = time.perf_counter(), time.process_time()
    yield
    row = {"stage": name, "seconds": time.perf_counter() - begun, "processor_seconds": time.process_time() - worked}
    rows.append(row | {"peak_gib": peak() / 2**30})
    print(f"| {name} | {row['seconds']:.1f} | {row['processor_seconds']:.1f} | {peak() / 2**30:.2f} |", flush=True)


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(paths: Mapping[str, Path], steps: tuple[int, int, int, int]) -> list[dict[str, Any]]:
    """Each stage from files to the edited photo."""
    rows: list[dict[str, Any]] = []
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| stage | seconds | processor seconds | peak, GiB |")
    print("| --- | --- | --- | --- |")
    with stage("imports", rows):
        me.keep_memory()
    with stage("load the generator", rows):
        generator = load_generator(paths["generator"])
    with stage("load the encoder", rows):
        load_encoder(paths["encoder"], generator=generator)
    del generator
    with stage("load all models", rows):
        models = load_models(**paths)
    side = 2 * models.generator.resolution
    photo = torch.nn.functional.interpolate(formula.uniform(0, 1, 3, 32, 32), (side, side), mode="bicubic").clamp(0, 1)
    assert models.encoder is not None
    assert models.parser is not None
    assert models.classifier is not None
    square = torch.nn.functional.avg_pool2d(photo, 2)
    with stage("encode", rows), torch.no_grad():
        latent = models.encoder.encode(square)
    with stage("draw", rows), torch.no_grad():
        models.generator.synthesize(latent, [])
    with stage("parse", rows), torch.no_grad():
        models.parser.parse(square, models.parser.regions)
    with stage("classify, all attributes", rows), torch.no_grad():
        models.classifier.classify(square, models.classifier.attributes)
    del latent, square

    from maskedit.photo import editing

    def fewer(names: tuple[str, ...], target: list[float]) -> me.Schedule:
        return me.recipes.fast(names, target=target, steps=steps)

    editing.RECIPES = {**editing.RECIPES, "fewer": (fewer, "encoder")}
    with stage(f"edit_photo, fast, {sum(steps)} steps", rows):
        edited = edit_photo(photo, {"smiling": 1.0}, models=models, recipe="fewer", landmarks=POINTS * side, seed=0)
    rows[-1] |= {f"{part}_seconds": seconds for part, seconds in edited.seconds.items()}
    print(f"\nstatus: {edited.result.status[0]} {', '.join(f'{k} {v:.1f} s' for k, v in edited.seconds.items())}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, help="where the weights are, or shall be; else a temporary folder")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--narrower", type=positive, default=1, help="divides every number of channels")
    parser.add_argument("--steps", type=positive, nargs=4, default=(3, 3, 3, 3), help="of the recipe's four stages")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    parser.add_argument("--part", choices=("write", "measure"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part == "write":
        write_files(args.files, args.size, args.narrower)
    elif args.part == "measure":
        rows = measure(write_files(args.files, args.size, args.narrower), tuple(args.steps))
        if args.json:
            write_whole(args.json, json.dumps(about(args.steps) | {"rows": rows}, indent=1) + "\n")
    else:  # each part is a process of its own: what writing takes is no part of the peak
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.files or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "benchmarks.speed.own_weights", *sys.argv[1:], "--files", str(folder)]
            for part in ("write", "measure"):
                subprocess.run([*command, "--part", part], check=True)


def about(steps: Sequence[int]) -> dict[str, Any]:
    """What the figures were taken with."""
    return {
        "command": "python -m benchmarks.speed.own_weights --steps " + " ".join(map(str, steps)),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at the end",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": time.strftime("%Y-%m-%d"),
        "steps": sum(steps),
    }


if __name__ == "__main__":
    main()
