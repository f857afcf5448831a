"""What it costs to ask the attribute tree for one attribute, for a few, and for all 40: forward and backward.

Run from the repository: ``python -m benchmarks.speed.attribute_tree``. One line a choice: the median and the spread
of the middle half over the rounds, in milliseconds, and the branches computed.
"""

import argparse
import platform
import time
from collections.abc import Sequence

import torch

from benchmarks.speed.times import middle, positive
from maskedit.models.networks.attribute_tree import ATTRIBUTES, AttributeTree, branches_to

CHOICES: dict[str, Sequence[str]] = {
    "smiling": ["smiling"],
    "smiling, blond_hair": ["smiling", "blond_hair"],
    "four hair colours": ["blond_hair", "brown_hair", "black_hair", "gray_hair"],
    "all 40": ATTRIBUTES,
}


def milliseconds(tree: AttributeTree, image: torch.Tensor, attributes: Sequence[str]) -> float:
    """One classification and its gradient for the image."""
    start = time.perf_counter()
    torch.autograd.grad(tree.classify(image, attributes).sum(), image)
    return 1000 * (time.perf_counter() - start)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=positive, default=25)
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    tree = AttributeTree().eval().requires_grad_(False)
    image = torch.rand(1, 3, 256, 256).requires_grad_()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, 1 image of 256 px")
    times: dict[str, list[float]] = {name: [] for name in CHOICES}
    for round_ in range(chosen.rounds + 3):  # in turns, so that a slow moment of the machine hits all alike
        for name, attributes in CHOICES.items():
            taken = milliseconds(tree, image, attributes)
            if round_ >= 3:
                times[name].append(taken)
    for name, attributes in CHOICES.items():
        branches = sum(map(len, branches_to([ATTRIBUTES.index(attribute) for attribute in attributes])))
        low, median, high = middle(times[name])
        print(f"{name:20s} {median:7.1f} ms  ({low:.1f} to {high:.1f})  {branches:3d} of 107 branches")


if __name__ == "__main__":
    main()
