"""The tree classifier: the released keys and values, and only the branches that are asked for."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskedit.attributes import ATTRIBUTE_REGIONS
from maskedit.errors import CheckpointError, InputError
from maskedit.models.networks.attribute_tree import ATTRIBUTES, LEVELS, AttributeTree, branches_to
from maskedit.protocols import Classifier
from tests.data import formula

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def small():
    """A thin tree with random weights and statistics, on pictures of 32 px."""
    torch.manual_seed(0)
    tree = AttributeTree(width=4, hidden=6, size=32)
    state = {
        key: torch.rand_like(value) + 0.5 if key.endswith("running_var") else torch.randn_like(value)
        for key, value in tree.state_dict().items()
        if value.is_floating_point() and "celeba" not in key
    }
    tree.load_state_dict(state, strict=False)
    return tree.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def released():
    """The tree with weights by formula, the reference image, and what the released program makes of it."""
    tree = AttributeTree.from_state_dict(formula.fill_(AttributeTree()).state_dict())
    with np.load(DATA / "attribute_tree.npz") as values:
        logits, gradient = torch.from_numpy(values["logits"]), torch.from_numpy(values["grad_smiling"])
    return tree, formula.uniform(3000, 2, 3, 256, 256), logits, gradient


def test_keys_and_table_are_the_released_ones():
    public = json.loads((DATA / "attribute_tree.keys.json").read_text())
    assert {key: list(value.shape) for key, value in AttributeTree().state_dict().items()} == public["keys"]
    assert list(ATTRIBUTES) == public["attributes"]
    assert {level.name: list(level.parents) for level in LEVELS[1:]} == public["parents"]
    assert {level.name: list(level.layers) for level in LEVELS} == public["modules"]


def test_logits_are_the_released_ones(released):
    tree, image, expected, _ = released
    assert (tree(image) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_gradient_is_the_released_one(released):
    tree, image, _, expected = released
    image = image.requires_grad_()
    (gradient,) = torch.autograd.grad(tree.classify(image, ["smiling"]).sum(), image)
    assert (gradient[:, :, ::4, ::4] - expected).abs().max() < 1e-4 * expected.abs().max()


def test_is_a_classifier_of_table_one(small):
    assert isinstance(small, Classifier)
    assert set(ATTRIBUTE_REGIONS) <= set(small.attributes)


@settings(max_examples=20, deadline=None)
@given(asked=st.lists(st.sampled_from(ATTRIBUTES), min_size=1, max_size=6))
def test_any_choice_equals_the_whole(small, asked):
    image = torch.rand(2, 3, 40, 32, generator=torch.Generator().manual_seed(1))
    whole = small(image)
    chosen = small.classify(image, asked)
    torch.testing.assert_close(chosen, torch.stack([whole[:, ATTRIBUTES.index(name)] for name in asked], dim=1))


@pytest.mark.parametrize(
    ("asked", "branches"),
    [
        (["smiling"], 7),
        (["smiling", "high_cheekbones"], 8),
        (["smiling", "blond_hair"], 12),
        (["bald", "bald"], 7),
        (ATTRIBUTES, 107),
    ],
)
def test_computes_each_needed_branch_once_and_no_other(small, asked, branches):
    calls = []
    hooks = [
        small.get_submodule(f"{level.group}.{level.name}.{branch}").register_forward_hook(
            lambda *_, name=(level.name, branch): calls.append(name)
        )
        for level in LEVELS
        for branch in range(len(level.parents))
    ]
    small.classify(torch.rand(1, 3, 32, 32), asked)
    for hook in hooks:
        hook.remove()
    assert len(calls) == len(set(calls)) == branches
    wanted = branches_to([ATTRIBUTES.index(name) for name in asked])
    assert sorted(calls) == sorted(
        (level.name, branch) for level, some in zip(LEVELS, wanted, strict=True) for branch in some
    )


def test_batch_equals_singles_in_float64(small):
    tree = AttributeTree.from_state_dict(small.state_dict()).double()
    images = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    singles = torch.cat([tree(image[None]) for image in images])
    torch.testing.assert_close(tree(images), singles, rtol=1e-10, atol=1e-10)


def test_sizes_are_read_from_the_weights(small):
    tree = AttributeTree.from_state_dict(small.state_dict())
    assert tree.size == 32
    assert not tree.training
    assert not any(weight.requires_grad for weight in tree.parameters())
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(tree(image), small(image))


def test_weights_in_half_precision_become_float32(small):
    state = {key: value.half() if value.is_floating_point() else value for key, value in small.state_dict().items()}
    assert AttributeTree.from_state_dict(state)(torch.rand(1, 3, 32, 32)).dtype == torch.float32


def test_unknown_attribute_is_named(small):
    with pytest.raises(InputError, match="no attribute is called 'wheels'; expected one of blurry"):
        small.classify(torch.rand(1, 3, 32, 32), ["smiling", "wheels"])


def test_states_that_do_not_fit_are_refused(small):
    state = small.state_dict()
    with pytest.raises(CheckpointError, match="this is no AttributeTree; expected a state dict with 'conv_layers"):
        AttributeTree.from_state_dict({"fc.weight": torch.ones(2, 2)})
    with pytest.raises(CheckpointError, match=r"1 are missing: 'conv_layers\.11-12\.1\.0\.bias'"):
        AttributeTree.from_state_dict({k: v for k, v in state.items() if k != "conv_layers.11-12.1.0.bias"})
    with pytest.raises(CheckpointError, match="got 1 unknown: 'more'"):
        AttributeTree.from_state_dict({**state, "more": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"'fc_layers\.15-16\.3\.0\.bias' does not fit.*shape \[1\]; got \[2\]"):
        AttributeTree.from_state_dict({**state, "fc_layers.15-16.3.0.bias": torch.ones(2)})
    with pytest.raises(CheckpointError, match="fits no square picture"):
        AttributeTree.from_state_dict({**state, "fc_layers.13-14.0.0.weight": torch.ones(6, 8)})
