"""The attribute classifier of MaskFaceGAN: a tree whose layers are shared by ever fewer attributes.

All 40 attributes share the first six convolutions; then the network branches, level by level, until each
attribute has a linear layer of its own (Vandenhende et al., "Branched Multi-Task Networks"; Sec. III-B of the
paper). The tree is the table :data:`LEVELS`; keys and values are those of the released checkpoint. Asking for
some attributes computes only the branches that lead to them: 7 of 107 for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import CheckpointError
from maskedit.models.files.state_dict import State, fill, shape_of, unwrap
from maskedit.models.preprocess import resize_by_area
from maskedit.models.region_labels import positions
from maskedit.types import Image, Logits

MEAN = (0.5061, 0.4254, 0.3828)
STD = (0.2661, 0.2453, 0.2413)


@dataclass(frozen=True)
class Level:
    """All branches of one depth; they look alike.

    Args:
        group: first part of the level's keys.
        name: second part of the keys.
        layers: what each branch does, in order. ``C``: 3x3 convolution, ReLU, batch norm. ``M``: 2x2 max pooling.
            ``F``: linear, ReLU, batch norm. ``L``: linear.
        parents: for each branch, the branch of the level before that feeds it.
    """

    group: str
    name: str
    layers: str
    parents: tuple[int, ...]


# fmt: off
LEVELS: tuple[Level, ...] = (
    Level("conv_layers", "01-06", "CCMCCMCC", (0,)),
    Level("conv_layers", "06-11", "CMCCCMC", (0, 0)),
    Level("conv_layers", "11-12", "C", (0, 0, 1)),
    Level("conv_layers", "12-13", "CM", (0, 0, 0, 0, 1, 1, 1, 1, 1, 2)),
    Level("fc_layers", "13-14", "F", (0, 1, 1, 1, 2, 2, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 8, 9)),
    Level("fc_layers", "14-15", "F", (
        0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 5, 6, 7, 7, 7, 8, 8, 9, 9, 9, 10, 10, 11, 11, 11, 12, 13, 13, 14, 15, 16, 16, 17,
    )),
    Level("fc_layers", "15-16", "L", (
        0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 7, 7, 8, 8, 8, 9, 10, 11, 12, 13,
        14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 29, 30, 31, 32,
    )),
)

ATTRIBUTES: tuple[str, ...] = (
    "blurry", "sideburns", "wearing_earrings", "bald", "goatee", "mustache", "5_o_clock_shadow", "arched_eyebrows",
    "no_beard", "heavy_makeup", "male", "wearing_lipstick", "black_hair", "high_cheekbones", "smiling",
    "mouth_slightly_open", "oval_face", "bushy_eyebrows", "attractive", "young", "gray_hair", "brown_hair",
    "blond_hair", "pale_skin", "chubby", "double_chin", "big_nose", "bags_under_eyes", "wearing_necklace",
    "wearing_necktie", "rosy_cheeks", "bangs", "wavy_hair", "straight_hair", "wearing_hat", "big_lips",
    "narrow_eyes", "pointy_nose", "receding_hairline", "eyeglasses",
)
"""CelebA's 40 attributes in the order of the tree's leaves: leaf j says attribute j."""
# fmt: on

POOLING = 2 ** sum(level.layers.count("M") for level in LEVELS)


class AttributeTree(nn.Module):
    """The tree classifier with 40 heads; a :class:`maskedit.protocols.Classifier`.

    Pictures are resized to ``size`` by area and normalised by the buffers ``celeba_mean`` and ``celeba_std``.

    Args:
        width: channels of every convolution.
        hidden: width of the linear layers.
        size: side of the pictures that the network sees, in pixels; a multiple of 32.
    """

    attributes: tuple[str, ...] = ATTRIBUTES
    celeba_mean: Float[Tensor, "1 3 1 1"]
    celeba_std: Float[Tensor, "1 3 1 1"]

    def __init__(self, *, width: int = 64, hidden: int = 128, size: int = 224) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("celeba_mean", rearrange(torch.tensor(MEAN), "c -> 1 c 1 1"))
        self.register_buffer("celeba_std", rearrange(torch.tensor(STD), "c -> 1 c 1 1"))
        self.conv_layers = nn.ModuleDict()
        self.fc_layers = nn.ModuleDict()
        channels = 3
        for level in LEVELS:
            if level.name == "13-14":
                channels = width * (size // POOLING) ** 2  # the maps are flattened here
            outputs = {"C": width, "M": width, "F": hidden, "L": 1}[level.layers[0]]
            branches = nn.ModuleList(_layers(level.layers, channels, outputs) for _ in level.parents)
            {"conv_layers": self.conv_layers, "fc_layers": self.fc_layers}[level.group][level.name] = branches
            channels = outputs

    @classmethod
    def from_state_dict(cls, state: State) -> "AttributeTree":
        """The tree with these weights, its sizes read from their shapes; frozen, in eval mode.

        Raises:
            CheckpointError: if keys or shapes are not a tree's.
        """
        state = unwrap(state)
        width = shape_of(state, "conv_layers.01-06.0.0.weight", cls.__name__)[0]
        hidden, inputs = shape_of(state, "fc_layers.13-14.0.0.weight", cls.__name__)
        side = round((inputs / width) ** 0.5)
        if side * side * width != inputs:
            raise CheckpointError(
                "the first linear layer fits no square picture",
                expected=f"{width} channels times a square number of inputs",
                actual=str(inputs),
            )
        with torch.device("meta"):
            tree = cls(width=width, hidden=hidden, size=side * POOLING)
        return fill(tree, state)

    def forward(self, image: Image) -> Logits:
        """Logits ``[b, 40]`` of all attributes for pictures in [0, 1]."""
        return self.classify(image, self.attributes)

    def classify(self, image: Image, attributes: Sequence[str]) -> Logits:
        """Logits ``[b, len(attributes)]`` for pictures in [0, 1], computing only the branches that lead to them.

        Raises:
            InputError: if an attribute is unknown.
        """
        leaves = positions(attributes, self.attributes, "attribute")
        # By branch of the level before: what it gave. The picture stands for a single branch before the first level.
        features = {0: (resize_by_area(image, self.size) - self.celeba_mean) / self.celeba_std}
        for level, needed in zip(LEVELS, branches_to(leaves), strict=True):
            if level.group == "fc_layers":
                features = {branch: rearrange(x, "b ... -> b (...)") for branch, x in features.items()}
            features = {branch: self._branch(level, branch)(features[level.parents[branch]]) for branch in needed}
        return torch.cat([features[leaf] for leaf in leaves], dim=1)

    def _branch(self, level: Level, branch: int) -> nn.Module:
        return self.get_submodule(f"{level.group}.{level.name}.{branch}")


def branches_to(leaves: Sequence[int]) -> list[tuple[int, ...]]:
    """For each level from the root on, the branches that lead to any of these leaves.

    >>> branches_to([14])
    [(0,), (0,), (0,), (2,), (4,), (8,), (14,)]
    """
    needed = [tuple(dict.fromkeys(leaves))]
    for level in reversed(LEVELS[1:]):
        needed.append(tuple(dict.fromkeys(level.parents[branch] for branch in needed[-1])))
    return needed[::-1]


def _layers(layers: str, inputs: int, outputs: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        match layer:
            case "C":
                convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
                modules += [convolution, nn.ReLU(inplace=True), nn.BatchNorm2d(outputs)]
            case "M":
                modules += [nn.MaxPool2d(2)]
            case "F":
                modules += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.BatchNorm1d(outputs)]
            case "L":
                modules += [nn.Linear(inputs, outputs)]
        inputs = outputs
    return nn.Sequential(*modules)
