"""A person's own files as the models of an edit: each is seen from its content."""

import os
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from maskedit.errors import CheckpointError
from maskedit.models.files.checkpoints import load_state, read
from maskedit.models.files.encoder_files import load_encoder
from maskedit.models.files.generators import load_generator
from maskedit.models.files.known_networks import known_in
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.bisenet import BiSeNet, celebamask_parser
from maskedit.models.networks.deeplab import DeepLabV3, released_parser
from maskedit.protocols import Models

Path = str | os.PathLike[str]
Make = Callable[[Mapping[str, Tensor]], nn.Module]

PARSERS: Mapping[type[nn.Module], Make] = {DeepLabV3: released_parser, BiSeNet: celebamask_parser}
"""What makes a parser of a network's weights: MaskFaceGAN's, and the port of face-parsing."""
CLASSIFIERS: Mapping[type[nn.Module], Make] = {AttributeTree: AttributeTree.from_state_dict}
"""What makes a classifier of a network's weights: MaskFaceGAN's tree."""


def load_models(
    *, generator: Path, encoder: Path | None = None, parser: Path | None = None, classifier: Path | None = None
) -> Models:
    """The models of one edit from files on a disk, frozen and ready for use.

    Args:
        generator: a StyleGAN2 in any of its public forms; an encoder's checkpoint has one too.
        encoder: pSp, e4e or ReStyle, which draws with the generator.
        parser: MaskFaceGAN's DeepLabV3, or the BiSeNet of face-parsing.
        classifier: MaskFaceGAN's attribute tree.

    Raises:
        CheckpointError: if a file does not hold what it is given for; no code in it is run.
        InputError: if ReStyle and generator do not belong together.
    """
    stylegan = load_generator(generator)
    return Models(
        generator=stylegan,
        parser=None if parser is None else _made(parser, "parser", PARSERS),  # type: ignore[arg-type]
        classifier=None if classifier is None else _made(classifier, "classifier", CLASSIFIERS),  # type: ignore[arg-type]
        encoder=None if encoder is None else load_encoder(encoder, generator=stylegan),
        mean_latent=stylegan.mean_latent(),
    )


def _made(path: Path, role: str, makers: Mapping[type[nn.Module], Make]) -> nn.Module:
    file = read(path)
    known = known_in(file)
    for network, make in makers.items():
        if known is not None and known.network is network:
            return make(load_state(path))
    raise CheckpointError(
        f"{file.path.name} holds no {role} that is known by its keys",
        expected=", ".join(network.__name__ for network in makers),
        actual=known.what if known is not None else f"a {file.format} of something else",
        hint="Networks of your own take part through the adapters: docs/own/model.md.",
    )
