"""StarGAN, AttGAN and STGAN as editors: networks that translate a picture in one pass, told the attributes.

Each loads the checkpoints of its released program, and those of ``maskedit train``. They need to be told what a face
has already, so each takes a classifier that knows all of their attributes.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.edit import Edit
from maskedit.editors.editor import Capabilities, Edited
from maskedit.editors.labels import (
    ATTGAN_GROUPS,
    STARGAN_GROUPS,
    STGAN_GROUPS,
    Groups,
    present_labels,
    wanted_labels,
)
from maskedit.errors import CheckpointError, InputError
from maskedit.models.files import checkpoints
from maskedit.models.files.tensorflow import is_tensorflow, read_variables
from maskedit.models.networks.attgan import AttGAN
from maskedit.models.networks.stargan import StarGAN
from maskedit.models.networks.stgan import STGAN, from_tensorflow
from maskedit.protocols import Classifier
from maskedit.types import Image

STARGAN_ATTRIBUTES = ("black_hair", "blond_hair", "brown_hair", "male", "young")
ATTGAN_ATTRIBUTES = tuple(
    "bald bangs black_hair blond_hair brown_hair bushy_eyebrows eyeglasses male mouth_slightly_open mustache no_beard "
    "pale_skin young".split()
)
"""The attributes of the released checkpoints, in their order."""

Told = Callable[[Tensor, Tensor, list[int]], Tensor]
"""What a network is told, of present labels, wanted labels, and the columns that were asked for."""


def wanted_state(labels: Float[Tensor, "b a"], wanted: Float[Tensor, "b a"], asked: list[int]) -> Float[Tensor, "b a"]:
    """StarGAN's: the wanted labels."""
    return wanted


def wanted_intensity(
    labels: Float[Tensor, "b a"], wanted: Float[Tensor, "b a"], asked: list[int]
) -> Float[Tensor, "b a"]:
    """AttGAN's: (2 label - 1) / 2 of all attributes, twice that for those that were asked for, as in its tests."""
    vector = wanted - 0.5
    vector[:, asked] *= 2
    return vector


def difference(labels: Float[Tensor, "b a"], wanted: Float[Tensor, "b a"], asked: list[int]) -> Float[Tensor, "b a"]:
    """STGAN's: the change of (2 label - 1) / 2."""
    return wanted - labels


class Translator:
    """A network that draws a face anew with other attributes; an :class:`~maskedit.editors.Editor`.

    Args:
        network: takes pictures in [-1, 1] and what it is told.
        name: what to call it.
        attributes: what it knows, in its order.
        classifier: sees what a face has; knows all of them.
        told: what the network is told.
        groups: attributes that exclude one another.
        size: side at which it works.
        strength: whether it can be told more than yes and no.

    Raises:
        InputError: if the network has another number of attributes.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        attributes: Sequence[str],
        classifier: Classifier,
        told: Told,
        groups: Groups,
        size: int,
        strength: bool,
    ) -> None:
        if network.attributes != len(attributes):
            raise InputError(
                f"{name} has another number of attributes",
                expected=f"{network.attributes} names",
                actual=", ".join(attributes),
            )
        self.network, self.name, self.attributes, self.classifier = network, name, tuple(attributes), classifier
        self._told, self._groups, self._size, self._strength = told, groups, size, strength

    @property
    def capabilities(self) -> Capabilities:
        """It is told the state of every attribute, so it tries to keep all that it knows."""
        return Capabilities(
            attributes=self.attributes,
            removal=True,
            several=True,
            strength=self._strength,
            size=False,
            hold=False,
            resolution=self._size,
        )

    def edit(self, images: Image, edit: Edit, seeds: Sequence[int]) -> Edited:
        """Edit a batch: brought to the network's size, translated, and brought back.

        Args:
            images: ``[b, 3, h, w]`` in [0, 1].
            edit: what is wanted.
            seeds: not needed: nothing is drawn at random.

        Raises:
            InputError: if the edit is beyond the network, or the classifier does not know its attributes.
        """
        self.capabilities.check(self.name, edit)
        begun = time.perf_counter()
        labels = present_labels(self.classifier, images, self.attributes)
        wanted = wanted_labels(labels, self.attributes, edit.attributes, self._groups)
        asked = [self.attributes.index(name) for name in edit.attributes]
        with torch.no_grad():
            drawn = self.network(2 * _resized(images, self._size) - 1, self._told(labels, wanted, asked))
        drawn = _resized(((drawn + 1) / 2).clamp(0, 1), images.shape[-1]).clamp(0, 1)
        return Edited(drawn, self.capabilities, time.perf_counter() - begun)


def stargan(
    path: str | os.PathLike[str],
    *,
    classifier: Classifier,
    attributes: Sequence[str] | None = None,
    size: int | None = None,
) -> Translator:
    """StarGAN from ``200000-G.ckpt`` or from ``maskedit train stargan``.

    Args:
        path: the file.
        classifier: sees what a face has.
        attributes: in the network's order; what the file says, or the released five.
        size: side at which it works, a multiple of 4; what the file says, or 128.

    Raises:
        CheckpointError: if the file holds no such network.
        InputError: if the attributes are not as many as the network's.
    """
    facts, state = _read(path)
    return Translator(
        StarGAN.from_state_dict(state),
        name="StarGAN",
        attributes=attributes or _names(facts) or STARGAN_ATTRIBUTES,
        classifier=classifier,
        told=wanted_state,
        groups=STARGAN_GROUPS,
        size=size or int(facts.get("size", 128)),
        strength=False,
    )


def attgan(
    path: str | os.PathLike[str],
    *,
    classifier: Classifier,
    attributes: Sequence[str] | None = None,
    size: int | None = None,
) -> Translator:
    """AttGAN from ``weights.N.pth``, beside or one folder below its ``setting.txt``, or from ``maskedit train attgan``.

    Args:
        path: the file.
        classifier: sees what a face has.
        attributes: in the network's order; what the file or ``setting.txt`` says, or the released thirteen.
        size: side at which it works, a multiple of 32; what these say, or 128.

    Raises:
        CheckpointError: if the file holds no such network, or ``setting.txt`` cannot be read.
        InputError: if the attributes are not as many as the network's.
    """
    facts, state = _read(path)
    facts = {**_setting(Path(path)), **facts}
    return Translator(
        AttGAN.from_state_dict(state),
        name="AttGAN",
        attributes=attributes or _names(facts) or ATTGAN_ATTRIBUTES,
        classifier=classifier,
        told=wanted_intensity,
        groups=ATTGAN_GROUPS,
        size=size or int(facts.get("size", 128)),
        strength=True,
    )


def stgan(
    path: str | os.PathLike[str],
    *,
    classifier: Classifier,
    attributes: Sequence[str] | None = None,
    size: int | None = None,
) -> Translator:
    """STGAN from the authors' TensorFlow checkpoint, or from ``maskedit train stgan``.

    Args:
        path: the file; of TensorFlow's checkpoints the name, with or without ``.index``.
        classifier: sees what a face has.
        attributes: in the network's order; what the file says, or the released thirteen.
        size: side at which it works, a multiple of 32; what the file says, or 128.

    Raises:
        CheckpointError: if the file holds no such network.
        InputError: if the attributes are not as many as the network's.
    """
    facts, state = ({}, from_tensorflow(read_variables(path))[0]) if is_tensorflow(path) else _read(path)
    return Translator(
        STGAN.from_state_dict(state),
        name="STGAN",
        attributes=attributes or _names(facts) or ATTGAN_ATTRIBUTES,
        classifier=classifier,
        told=difference,
        groups=STGAN_GROUPS,
        size=size or int(facts.get("size", 128)),
        strength=True,
    )


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a file says of itself, and its state dict."""
    return dict(checkpoints.read(path).metadata), checkpoints.load_state(path)


def _names(facts: dict[str, str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in facts.get("attributes", "").split(",") if name)


def _setting(path: Path) -> dict[str, str]:
    """What AttGAN's ``setting.txt`` says of the checkpoints beside it or in a folder beside it."""
    for place in (path.parent, path.parent.parent):
        file = place / "setting.txt"
        if file.is_file():
            try:
                setting = json.loads(file.read_text())
                return {"attributes": ",".join(setting["attrs"]), "size": str(int(setting["img_size"]))}
            except (ValueError, KeyError, TypeError) as error:
                raise CheckpointError(
                    f"{file} is no setting.txt of AttGAN's", expected="JSON with attrs and img_size", actual=str(error)
                ) from error
    return {}


def _resized(images: Float[Tensor, "b 3 h w"], size: int) -> Float[Tensor, "b 3 _ _"]:
    """Square pictures at another size: averaged over areas when smaller, bicubic when larger."""
    if images.shape[-1] == size:
        return images
    if size < images.shape[-1] and images.shape[-1] % size == 0:
        return F.interpolate(images, size=size, mode="area")
    return F.interpolate(images, size=size, mode="bicubic", antialias=size < images.shape[-1], align_corners=False)
