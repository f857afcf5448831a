"""VGG and ResNet classifiers of Table VII: torchvision's keys, sizes read from the weights, the right numbers."""

import pytest
import torch
import torch.nn.functional as F

from maskedit.errors import CheckpointError
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.vgg import VGG, VGG16, VGG19

RESNETS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
}
# Where the convolutions stand in ``features`` of torchvision's networks; the gaps are ReLUs and poolings.
VGG_CONVOLUTIONS = {
    "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
    "vgg19": [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34],
    "vgg16_bn": [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40],
}


@pytest.mark.parametrize("name", RESNETS)
def test_resnet_loads_another_implementation_and_agrees_with_it(name, lively):
    timm = pytest.importorskip("timm", reason="needs timm, an independent ResNet with the same keys")
    blocks, bottleneck = RESNETS[name]
    other = lively(timm.create_model(name, num_classes=7))
    mine = ResNet.from_state_dict(other.state_dict())
    assert list(mine.state_dict()) == list(other.state_dict())
    assert list(mine.state_dict()) == list(ResNet(blocks=blocks, bottleneck=bottleneck, outputs=7).state_dict())
    image = torch.randn(2, 3, 64, 75)
    with torch.no_grad():
        torch.testing.assert_close(mine(image), other(image))


@pytest.mark.parametrize("name", VGG_CONVOLUTIONS)
def test_vgg_has_the_published_layout_and_numbers(name, lively):
    batch_norm = name.endswith("bn")
    network = lively(VGG(stages=VGG19 if "19" in name else VGG16, outputs=5, hidden=32, batch_norm=batch_norm))
    state = network.state_dict()
    where = VGG_CONVOLUTIONS[name]
    assert [int(key.split(".")[1]) for key in state if key.startswith("features") and state[key].ndim == 4] == where
    image = torch.randn(1, 3, 64, 64)

    x = image  # the network once more, straight from the keys
    for i, index in enumerate(where):
        x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1)
        if batch_norm:
            mean, var, scale, shift = (
                state[f"features.{index + 1}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
            )
            x = F.batch_norm(x, mean, var, scale, shift)
        x = x.relu()
        ends_stage = i + 1 == len(where) or where[i + 1] - index > (3 if batch_norm else 2)
        x = F.max_pool2d(x, 2) if ends_stage else x
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    for index in (0, 3, 6):
        x = F.linear(x, state[f"classifier.{index}.weight"], state[f"classifier.{index}.bias"])
        x = x if index == 6 else x.relu()

    loaded = VGG.from_state_dict(state)
    assert list(loaded.state_dict()) == list(state)
    torch.testing.assert_close(loaded(image), x)


def test_full_sizes_are_the_published_ones():
    with torch.device("meta"):
        counts = {
            "vgg16": VGG(outputs=1000),
            "vgg19": VGG(stages=VGG19, outputs=1000),
            "resnet34": ResNet(bottleneck=False, outputs=1000),
            "resnet50": ResNet(outputs=1000),
            "resnet101": ResNet(blocks=(3, 4, 23, 3), outputs=1000),
        }
    assert {name: sum(p.numel() for p in network.parameters()) for name, network in counts.items()} == {
        "vgg16": 138_357_544,
        "vgg19": 143_667_240,
        "resnet34": 21_797_672,
        "resnet50": 25_557_032,
        "resnet101": 44_549_160,
    }


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.network."])
def test_a_wrappers_prefix_is_taken_off(prefix):
    network = ResNet(blocks=(1, 1, 1, 1), bottleneck=False, width=4, outputs=3)
    state = {prefix + key: value for key, value in network.state_dict().items()}
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(ResNet.from_state_dict(state)(image), network.eval()(image))


def test_old_files_without_step_counters_load():
    network = ResNet(blocks=(1, 1, 1, 1), bottleneck=False, width=4, outputs=3)
    state = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    loaded = ResNet.from_state_dict(state)
    assert not any(tensor.is_meta for tensor in loaded.state_dict().values())
    loaded.double()(torch.rand(1, 3, 32, 32, dtype=torch.float64))


@pytest.mark.parametrize("network", [ResNet, VGG])
def test_foreign_weights_are_refused_in_a_sentence(network):
    with pytest.raises(CheckpointError, match=f"this is no {network.__name__}; expected a state dict with"):
        network.from_state_dict({"a": torch.ones(1), "b": torch.ones(1)})
    with pytest.raises(CheckpointError, match="got 0 keys, starting with none"):
        network.from_state_dict({})
