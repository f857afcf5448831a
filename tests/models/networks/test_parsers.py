"""Segmentation networks: DeepLabV3 as released, FCN, UNet and BiSeNet with their ports' keys, and the region maps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskedit.attributes import REGIONS
from maskedit.errors import CheckpointError
from maskedit.models.networks.bisenet import BiSeNet, celebamask_parser
from maskedit.models.networks.deeplab import DeepLabV3, released_parser
from maskedit.models.networks.fcn import FCN
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.unet import UNet
from maskedit.models.preprocess import IMAGENET_MEAN, IMAGENET_STD
from maskedit.models.region_labels import BISENET_LABELS, CELEBAMASK_LABELS, RELEASED_LABELS, merge_labels
from tests.data import formula

DATA = Path(__file__).parents[2] / "data"


def small_resnet():
    return ResNet(blocks=(1, 2, 1, 2), width=4, dilated=True)


SMALL = {
    "deeplab": lambda: DeepLabV3(backbone=small_resnet(), classes=5, hidden=8),
    "fcn": lambda: FCN(backbone=small_resnet(), classes=5),
    "unet": lambda: UNet(classes=5, width=4),
    "unet, bilinear": lambda: UNet(classes=5, width=4, bilinear=True),
    "bisenet": lambda: BiSeNet(classes=5, resnet=ResNet(blocks=(1, 1, 2, 1), bottleneck=False, width=4)),
}


class Reference:
    """Layers straight from a state dict, for writing a network down once more."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, key, **how):
        return F.conv2d(x, self.state[f"{key}.weight"], self.state.get(f"{key}.bias"), **how)

    def norm(self, x, key):
        s = self.state
        running = (s[f"{key}.running_mean"], s[f"{key}.running_var"])
        return F.batch_norm(x, *running, s[f"{key}.weight"], s[f"{key}.bias"])

    def block(self, x, conv, norm, **how):
        return self.norm(self.conv(x, conv, **how), norm).relu()


def test_deeplab_has_the_released_keys_and_logits():
    public = json.loads((DATA / "deeplabv3_resnet50.keys.json").read_text())
    network = DeepLabV3(backbone=ResNet(dilated=True), classes=9)
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == public
    released = {f"model.{key}": value for key, value in formula.fill_(network).state_dict().items()}
    released["loss.weight"] = torch.ones(9)  # the released file has the training loss's weights beside the network
    loaded = DeepLabV3.from_state_dict(released)
    image = 2 * formula.uniform(4000, 1, 3, 128, 160) - 1
    with np.load(DATA / "deeplabv3_resnet50.npz") as values, torch.no_grad():
        expected = torch.from_numpy(values["logits"])
        logits = loaded(image)
    assert logits.shape[-2:] == image.shape[-2:]
    assert (logits[:, :, ::2, ::2] - expected).abs().max() < 1e-4 * expected.abs().max()


def test_released_parser_reads_pictures_as_the_released_program_does(lively):
    network = lively(DeepLabV3(backbone=small_resnet(), classes=9, hidden=8))
    parser = released_parser(network.state_dict())
    image = torch.rand(1, 3, 768, 640)
    with torch.no_grad():
        shrunk = F.interpolate(image, (512, 512), mode="area")
        shares = network(shrunk * 2 - 1).softmax(1)
        torch.testing.assert_close(parser.parse(image, REGIONS), shares)


def test_celebamask_parser_reads_the_ports_classes(lively):
    network = lively(BiSeNet(classes=19, resnet=ResNet(blocks=(1, 1, 1, 1), bottleneck=False, width=4)))
    parser = celebamask_parser(network.state_dict())
    image = torch.rand(1, 3, 512, 512)
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.no_grad():
        shares = network((image - mean) / std).softmax(1)
        hair, eyes = parser.parse(image, ["hair", "eyes"]).unbind(1)
    torch.testing.assert_close(hair, shares[:, 17])
    torch.testing.assert_close(eyes, shares[:, 4] + shares[:, 5])


def test_deeplab_leaves_torchvisions_auxiliary_head_out():
    network = SMALL["deeplab"]()
    state = {**network.state_dict(), "aux_classifier.0.weight": torch.ones(1)}
    assert list(DeepLabV3.from_state_dict(state).state_dict()) == list(network.state_dict())


def test_fcn_is_two_convolutions_on_the_features(lively):
    network = lively(SMALL["fcn"]())
    image = torch.randn(1, 3, 48, 40)
    reference = Reference(network.state_dict())
    with torch.no_grad():
        x = network.backbone.features(image)[-1]
        assert x.shape[-2:] == (6, 5)  # dilated: an eighth
        x = reference.block(x, "classifier.0", "classifier.1", padding=1)
        x = reference.conv(x, "classifier.4")
        x = F.interpolate(x, (48, 40), mode="bilinear", align_corners=False)
        torch.testing.assert_close(network(image), x)


@pytest.mark.parametrize("bilinear", [False, True])
def test_unet_joins_the_way_down_with_the_way_up(bilinear, lively):
    network = lively(UNet(classes=5, width=4, bilinear=bilinear))
    state = network.state_dict()
    reference = Reference(state)

    def double(x, key):
        x = reference.block(x, f"{key}.double_conv.0", f"{key}.double_conv.1", padding=1)
        return reference.block(x, f"{key}.double_conv.3", f"{key}.double_conv.4", padding=1)

    image = torch.randn(1, 3, 48, 35)
    with torch.no_grad():
        down = [double(image, "inc")]
        for i in (1, 2, 3, 4):
            down.append(double(F.max_pool2d(down[-1], 2), f"down{i}.maxpool_conv.1"))
        x = down.pop()
        for i in (1, 2, 3, 4):
            if bilinear:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            else:
                x = F.conv_transpose2d(x, state[f"up{i}.up.weight"], state[f"up{i}.up.bias"], stride=2)
            beside = down.pop()
            x = F.pad(x, (0, beside.shape[-1] - x.shape[-1]))  # 35 px were halved to 17, 8, 4: one column is short
            x = double(torch.cat([beside, x], 1), f"up{i}.conv")
        torch.testing.assert_close(network(image), reference.conv(x, "outc.conv"))


def test_bisenet_is_the_ports_network(lively):
    network = lively(SMALL["bisenet"]())
    reference = Reference(network.state_dict())

    def refine(x, key):
        x = reference.block(x, f"{key}.conv.conv", f"{key}.conv.bn", padding=1)
        weight = reference.norm(reference.conv(x.mean((2, 3), keepdim=True), f"{key}.conv_atten"), f"{key}.bn_atten")
        return x * weight.sigmoid()

    image = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        _, at8, at16, at32 = network.cp.resnet.features(image)
        whole = reference.block(at32.mean((2, 3), keepdim=True), "cp.conv_avg.conv", "cp.conv_avg.bn")
        x = F.interpolate(refine(at32, "cp.arm32") + whole, (4, 5), mode="nearest")
        x = reference.block(x, "cp.conv_head32.conv", "cp.conv_head32.bn", padding=1)
        x = F.interpolate(x + refine(at16, "cp.arm16"), (8, 10), mode="nearest")
        x = reference.block(x, "cp.conv_head16.conv", "cp.conv_head16.bn", padding=1)
        x = reference.block(torch.cat([at8, x], 1), "ffm.convblk.conv", "ffm.convblk.bn")
        gate = reference.conv(x.mean((2, 3), keepdim=True), "ffm.conv1").relu()
        x = x + x * reference.conv(gate, "ffm.conv2").sigmoid()
        x = reference.block(x, "conv_out.conv.conv", "conv_out.conv.bn", padding=1)
        x = reference.conv(x, "conv_out.conv_out")
        x = F.interpolate(x, (64, 80), mode="bilinear", align_corners=True)
        torch.testing.assert_close(network(image), x)


def test_bisenet_has_the_ports_keys():
    with torch.device("meta"):
        state = BiSeNet(classes=19).state_dict()
    shapes = {
        "cp.resnet.conv1.weight": [64, 3, 7, 7],
        "cp.resnet.layer4.1.bn2.running_var": [512],
        "cp.resnet.layer2.0.downsample.1.bias": [128],
        "cp.arm16.conv.conv.weight": [128, 256, 3, 3],
        "cp.arm32.bn_atten.weight": [128],
        "cp.conv_avg.conv.weight": [128, 512, 1, 1],
        "ffm.convblk.bn.bias": [256],
        "ffm.conv1.weight": [64, 256, 1, 1],
        "ffm.conv2.weight": [256, 64, 1, 1],
        "conv_out.conv.conv.weight": [256, 256, 3, 3],
        "conv_out16.conv_out.weight": [19, 64, 1, 1],
        "conv_out32.conv.bn.running_mean": [64],
    }
    assert {key: list(state[key].shape) for key in shapes} == shapes
    # The published file's tensors without the two training heads are 52,650,752 bytes of float32.
    main = [t for key, t in state.items() if t.is_floating_point() and not key.startswith(("conv_out16", "conv_out32"))]
    assert 4 * sum(t.numel() for t in main) == 52_650_752


def test_full_sizes_are_the_published_ones():
    with torch.device("meta"):
        counts = {
            "fcn_resnet50": FCN(backbone=ResNet(dilated=True), classes=21),
            "fcn_resnet101": FCN(backbone=ResNet(blocks=(3, 4, 23, 3), dilated=True), classes=21),
            "unet": UNet(classes=2),
        }
    # torchvision's figures have an auxiliary head more: a 3x3 convolution of 1024 to 256 channels, norm, 21 classes.
    auxiliary = 9 * 1024 * 256 + 2 * 256 + 257 * 21
    assert {name: sum(p.numel() for p in network.parameters()) for name, network in counts.items()} == {
        "fcn_resnet50": 35_322_218 - auxiliary,
        "fcn_resnet101": 54_314_346 - auxiliary,
        "unet": 31_037_698,
    }


@pytest.mark.parametrize("name", SMALL)
def test_sizes_are_read_from_the_weights(name, lively):
    network = lively(SMALL[name]())
    loaded = type(network).from_state_dict(network.state_dict())
    assert not loaded.training
    assert not any(weight.requires_grad for weight in loaded.parameters())
    image = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        logits = loaded(image)
        assert logits.shape == (2, 5, 64, 48)
        assert torch.equal(logits, network(image))


@pytest.mark.parametrize("name", SMALL)
def test_batch_equals_singles_in_float64(name, lively):
    network = lively(SMALL[name]()).double()
    images = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        singles = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), singles, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SMALL)
def test_foreign_and_damaged_weights_are_refused_in_a_sentence(name):
    network = SMALL[name]()
    kind = type(network)
    with pytest.raises(CheckpointError, match=f"this is no {kind.__name__}; expected a state dict with"):
        kind.from_state_dict({"a": torch.ones(1)})
    state = dict(network.state_dict())
    last = next(key for key in reversed(state) if key.endswith("running_var"))
    del state[last]
    with pytest.raises(CheckpointError, match=f"does not fit {kind.__name__}.*1 are missing: '{last}'"):
        kind.from_state_dict(state)


def test_both_orders_of_celebamask_hold_the_same_classes_and_regions():
    assert len(CELEBAMASK_LABELS) == len(BISENET_LABELS) == 19
    assert set(CELEBAMASK_LABELS) == set(BISENET_LABELS)
    # Places at which people tell the orders apart: hair, and what follows the skin.
    assert (CELEBAMASK_LABELS.index("hair"), BISENET_LABELS.index("hair")) == (13, 17)
    assert (CELEBAMASK_LABELS[2], BISENET_LABELS[2]) == ("nose", "l_brow")
    for labels in (CELEBAMASK_LABELS, BISENET_LABELS):
        regions = merge_labels(labels)
        assert set(regions) == {*REGIONS, "eyeglasses", "earrings", "hat"}
        assert sorted(label for made_of in regions.values() for label in made_of) == sorted(labels)
        assert set(regions["mouth"]) == {"mouth", "u_lip", "l_lip"}
        assert set(regions["below_face"]) == {"neck", "neck_l", "cloth"}


def test_released_classes_are_the_nine_regions():
    regions = merge_labels(RELEASED_LABELS)
    assert tuple(regions) == REGIONS
    assert regions["below_face"] == ("belowface",)
