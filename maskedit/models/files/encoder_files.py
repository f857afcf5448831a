"""Loads pSp, e4e and ReStyle from their published checkpoints, which one being seen from the file's content:

- ``state_dict`` with ``encoder.*`` (and ``decoder.*``, the generator), ``latent_avg`` and ``opts``, as the three
  projects write it, for use or for resuming;
- ``encoder_state_dict``, ``latent_avg`` and ``options``, as MaskFaceGAN's program has its e4e;
- safetensors, as ``maskedit convert`` writes them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import CheckpointError
from maskedit.models.files.checkpoints import File, State, Stored, check_size, read, states_in, write
from maskedit.models.files.generators import load_generator
from maskedit.models.files.pickles import Record
from maskedit.models.files.stylegan2_files import MAX_RESOLUTION
from maskedit.models.networks.psp import PSP, SingleStyleEncoder, StyleEncoder
from maskedit.models.networks.restyle import ROUNDS, ReStyle
from maskedit.protocols import Generator

FORMAT = "maskedit.encoder"
"""What the metadata of our own files call their content."""
KINDS: Mapping[str, str] = {
    "GradualStyleEncoder": "pSp",
    "Encoder4Editing": "e4e",
    "BackboneEncoder": "ReStyle on pSp",
    "ProgressiveBackboneEncoder": "ReStyle on e4e",
    "BackboneEncoderUsingLastLayerIntoW": "pSp into W",
}
"""What the option ``encoder_type`` stands for; the keys of a file do not tell pSp from e4e."""
PROGRESSIVE = ("e4e", "ReStyle on e4e")


@dataclass(frozen=True)
class EncoderFile:
    """An encoder in a file, understood but not loaded.

    Args:
        file: the file.
        kind: one of the values of ``KINDS``.
        state: its tensors, without ``encoder.`` before their names.
        average: the mean latent, if it is in the file.
        around_average: whether the network gives differences from the mean latent.
        size: side in pixels of the generator's pictures, as the options say.
    """

    file: File
    kind: str
    state: State
    average: Stored | None
    around_average: bool
    size: int

    def outline(self) -> StyleEncoder | SingleStyleEncoder:
        """The network without its weights (on the meta device), after checking that each has its place.

        Raises:
            CheckpointError: if keys or shapes do not fit together.
        """
        return self._network(
            {key: torch.empty(stored.shape, dtype=stored.dtype, device="meta") for key, stored in self.state.items()}
        )

    def load(self) -> StyleEncoder | SingleStyleEncoder:
        """The network, frozen.

        Raises:
            CheckpointError: if keys or shapes do not fit together, or the weights are damaged.
        """
        self.outline()
        return self._network({key: stored.load() for key, stored in self.state.items()})

    @property
    def rows(self) -> int:
        """How many rows its latents have."""
        network = self.outline()
        return len(network.styles) if isinstance(network, StyleEncoder) else 2 * self.size.bit_length() - 4

    @property
    def dim(self) -> int:
        """How many numbers each row has."""
        return self.state["input_layer.0.weight"].shape[0] * 8

    def mean_latent(self, seed: int = 0) -> Float[Tensor, "rows dim"]:
        """What the network's rows are added to.

        Raises:
            CheckpointError: if the file has neither a mean latent that fits nor a generator to take one from.
        """
        rows, dim = self.rows, self.dim
        if not self.around_average:
            return torch.zeros(rows, dim)
        if self.average is None:
            average = load_generator(self.file.path, seed=seed).mean_latent()
        else:
            average = self.average.load().float()
        if average.shape[-1:] != (dim,) or average.numel() not in (dim, rows * dim):
            raise CheckpointError(
                f"the mean latent in {self.file.path.name} is not of its encoder",
                expected=f"[{rows}, {dim}]",
                actual=str(list(average.shape)),
            )
        return average.reshape(-1, dim).expand(rows, dim).clone()

    def _network(self, state: Mapping[str, Tensor]) -> StyleEncoder | SingleStyleEncoder:
        if self.kind == "pSp into W":
            return SingleStyleEncoder.from_state_dict(state)
        return StyleEncoder.from_state_dict(state, progressive=self.kind in PROGRESSIVE)


def load_encoder(
    path: str | os.PathLike[str], *, generator: Generator | None = None, rounds: int = ROUNDS, seed: int = 0
) -> PSP | ReStyle:
    """An encoder of photos from its published checkpoint, frozen and ready for use: pSp, e4e or ReStyle.

    Args:
        path: the file.
        generator: what ReStyle draws with; None is the one in the file.
        rounds: how often ReStyle changes the latent.
        seed: of the codes for the mean latent, if it is to be taken from the generator.

    Raises:
        CheckpointError: if the file cannot be read as such an encoder; no code in it is run.
        InputError: if the generator's latents are others.
    """
    found = find_encoder(read(path))
    check_size(found.file.path, found.state)
    network, average = found.load(), found.mean_latent(seed)
    if isinstance(network, StyleEncoder) and network.inputs == 6:
        return ReStyle(network, generator or load_generator(path, seed=seed), average, rounds=rounds).eval()
    return PSP(network, average).eval()


def convert_encoder(found: EncoderFile, target: Path, metadata: Mapping[str, str], *, seed: int = 0) -> None:
    """Writes an encoder as safetensors, and with it the generator that its file has; both load from what is written.

    Args:
        found: the encoder.
        target: the file to write, whole or not at all.
        metadata: what to write about it.
        seed: of the codes for the mean latent, if it is to be taken from the generator.

    Raises:
        CheckpointError: if the encoder is incomplete or damaged.
        FileError: if the file cannot be written.
    """
    check_size(found.file.path, found.state)
    found.outline()
    tensors = {f"encoder.{key}": stored.load() for key, stored in found.state.items()}
    tensors["latent_avg"] = found.mean_latent(seed)
    whole = states_in(found.file).get("state_dict", states_in(found.file).get("", {}))
    if decoder := {key: stored for key, stored in whole.items() if key.startswith("decoder.")}:
        check_size(found.file.path, decoder)
        average = load_generator(found.file.path, seed=seed).mean_latent()[0]
        tensors |= {key: stored.load() for key, stored in decoder.items()} | {"decoder.latent_avg": average}
    names = {kind: name for name, kind in KINDS.items()}
    about = {"format": FORMAT, "encoder_type": names[found.kind], "output_size": str(found.size)}
    write(target, tensors, {**metadata, **about})


def encoder_in(file: File) -> EncoderFile | None:
    """The encoder in a file, if there is a whole one of a kind that is built here."""
    try:
        found = find_encoder(file)
        found.outline()
    except CheckpointError:
        return None
    return found


def find_encoder(file: File) -> EncoderFile:
    """The encoder in a file.

    Raises:
        CheckpointError: if there is none, or one of a kind that is not built here.
    """
    states, entries = states_in(file), file.value if isinstance(file.value, Mapping) else {}
    state = dict(states.get("encoder_state_dict", {}))
    whole = states.get("state_dict", states.get("", {}))
    state = state or {key.removeprefix("encoder."): whole[key] for key in whole if key.startswith("encoder.")}
    if not state:
        raise CheckpointError(
            f"{file.path.name} holds no encoder",
            expected="the keys of pSp, e4e or ReStyle: 'encoder.input_layer.0.weight', ...",
            actual=f"{len(states)} state dicts of other networks" if states else "no state dict",
        )
    options = _options(entries.get("opts", entries.get("options"))) | dict(file.metadata)
    average = entries.get("latent_avg")
    return EncoderFile(
        file=file,
        kind=_kind(file, state, options, of_maskfacegan="encoder_state_dict" in states),
        state=state,
        average=average if isinstance(average, Stored) else None,
        around_average=options.get("start_from_latent_avg") is not False,
        size=_size(options),
    )


def _options(value: object) -> dict[object, object]:
    """Training options, from a dictionary or an ``argparse.Namespace``."""
    if isinstance(value, Record):
        value = value.state
    return dict(value) if isinstance(value, Mapping) else {}


def _kind(file: File, state: State, options: Mapping[object, object], *, of_maskfacegan: bool) -> str:
    first, headed = state.get("input_layer.0.weight"), {"styles.0.linear.weight", "linear.weight"} & state.keys()
    if first is None or len(first.shape) != 4 or "body.23.res_layer.5.fc2.weight" not in state or not headed:
        raise CheckpointError(
            f"the encoder in {file.path.name} is of a kind that is not built here",
            expected="pSp, e4e or ReStyle with an IR-SE50",
            actual=str(options.get("encoder_type", f"keys that start with {next(iter(state))!r}")),
        )
    if "styles.0.linear.weight" not in state:
        return "pSp into W"
    refines = first.shape[1] == 6
    named = options.get("encoder_type")
    if isinstance(named, str) and named in KINDS:
        on_e4e = KINDS[named] in PROGRESSIVE
    elif isinstance(named, str):
        raise CheckpointError(
            f"the encoder in {file.path.name} is of a kind that is not built here",
            expected=", ".join(KINDS),
            actual=named[:100],
        )
    elif of_maskfacegan or "stylegan_size" in options or "progressive_steps" in options:  # options that only e4e has
        on_e4e = True
    elif options:
        on_e4e = False
    else:
        raise CheckpointError(
            f"{file.path.name} does not say whether its encoder is pSp or e4e",
            expected="'encoder_type' among its options ('opts')",
            hint="The keys are the same; StyleEncoder.from_state_dict(state, progressive=...) takes either.",
        )
    return ("ReStyle on " if refines else "") + ("e4e" if on_e4e else "pSp")


def _size(options: Mapping[object, object]) -> int:
    """Older files of pSp do not say it: they are for 1024 px."""
    size = str(options.get("output_size", options.get("stylegan_size", 1024)))
    return int(size) if size.isdigit() and 4 <= int(size) <= MAX_RESOLUTION else 1024
