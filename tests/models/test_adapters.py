"""Anyone's networks as parsers and classifiers: the right input, the right output, and a sentence where they differ."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from maskedit.errors import InputError
from maskedit.models.adapters import AttributeClassifier, SegmentationParser, pick_logits
from maskedit.models.networks.bisenet import BiSeNet
from maskedit.models.networks.resnet import ResNet
from maskedit.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess, resize_by_area, resize_smoothly
from maskedit.models.region_labels import BISENET_LABELS, CELEBAMASK_LABELS, RELEASED_LABELS
from maskedit.protocols import Classifier, Parser


class Recorder(nn.Module):
    """Keeps what it was given, and gives what it was told to."""

    def __init__(self, output):
        super().__init__()
        self.output = output
        self.batch_norm = nn.BatchNorm2d(3)

    def forward(self, x):
        self.seen = x
        return self.output


class Convolution(nn.Module):
    """A linear segmentation network at a quarter of the size, its logits wrapped as ``wrap`` does."""

    def __init__(self, classes, wrap=lambda logits: logits):
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 4, stride=4)
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(self.conv(x))


@pytest.fixture
def image():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_networks_are_frozen_and_in_eval_mode():
    network = Convolution(2)
    parser = SegmentationParser(network.train(), labels=["skin", "hair"])
    assert isinstance(parser, Parser)
    assert not network.training
    assert not any(weight.requires_grad for weight in parser.parameters())
    classifier = AttributeClassifier(nn.Linear(2, 2), attributes=["smiling", "male"])
    assert isinstance(classifier, Classifier)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, lambda x: x),
        ({"input_range": (-1, 1)}, lambda x: 2 * x - 1),
        ({"input_range": (0, 255)}, lambda x: 255 * x),
        ({"mean": 0.5, "std": 0.5}, lambda x: 2 * x - 1),
        ({"input_range": (0, 255), "mean": (104, 117, 123)}, lambda x: 255 * x - _channels(104, 117, 123)),
        (
            {"mean": IMAGENET_MEAN, "std": IMAGENET_STD},
            lambda x: (x - _channels(*IMAGENET_MEAN)) / _channels(*IMAGENET_STD),
        ),
    ],
)
def test_networks_get_their_own_range(image, how, expected):
    network = Recorder(torch.zeros(2, 1))
    AttributeClassifier(network, attributes=["smiling"], preprocess=Preprocess(size=32, **how)).classify(
        image, ["smiling"]
    )
    torch.testing.assert_close(network.seen, expected(image))


def _channels(*values):
    return torch.tensor(values, dtype=torch.float32).view(3, 1, 1)


@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 40), level=st.floats(0, 1, width=32))
def test_resizing_by_area_keeps_a_flat_picture(height, width, size, level):
    resized = resize_by_area(torch.full((1, 3, height, width), level), size)
    torch.testing.assert_close(resized, torch.full((1, 3, size, size), level))


@pytest.mark.parametrize("size", [32, 16, 8, 24, 5])
def test_resizing_by_area_averages_what_each_pixel_covers(image, size):
    resized = resize_by_area(image, size)
    torch.testing.assert_close(resized, nn.functional.adaptive_avg_pool2d(image, size))
    if 32 % size == 0:
        torch.testing.assert_close(resized.mean(), image.mean())


def test_regions_are_sums_of_their_labels(image):
    network = Convolution(19)
    parser = SegmentationParser(network, labels=CELEBAMASK_LABELS, preprocess=Preprocess(size=32))
    masks = parser.parse(image, parser.regions)
    assert masks.shape == (2, len(parser.regions), 32, 32)
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 32, 32))
    logits = nn.functional.interpolate(network(image), (32, 32), mode="bilinear", align_corners=False)
    brows = logits.softmax(1)[:, [CELEBAMASK_LABELS.index("l_brow"), CELEBAMASK_LABELS.index("r_brow")]].sum(1)
    torch.testing.assert_close(masks[:, parser.regions.index("eyebrows")], brows)


def test_one_face_under_both_class_orders_gives_the_same_regions(image):
    dataset = Convolution(19)
    port = Convolution(19)
    order = [CELEBAMASK_LABELS.index(label) for label in BISENET_LABELS]
    port.conv.load_state_dict({key: value[order] for key, value in dataset.conv.state_dict().items()})
    asked = ["hair", "mouth", "ears", "below_face", "eyeglasses"]
    first = SegmentationParser(dataset, labels=CELEBAMASK_LABELS, preprocess=Preprocess(size=32)).parse(image, asked)
    second = SegmentationParser(port, labels=BISENET_LABELS, preprocess=Preprocess(size=32)).parse(image, asked)
    torch.testing.assert_close(first, second)


@given(asked=st.lists(st.sampled_from(["background", "mouth", "hair", "below_face"]), min_size=1, max_size=5))
def test_regions_come_in_the_order_asked(asked):
    torch.manual_seed(0)
    parser = SegmentationParser(Convolution(9), labels=RELEASED_LABELS, preprocess=Preprocess(size=8))
    picture = torch.rand(1, 3, 8, 8)
    masks = parser.parse(picture, asked)
    for i, region in enumerate(asked):
        assert torch.equal(masks[:, i : i + 1], parser.parse(picture, [region]))


def test_own_regions_may_merge_and_leave_out(image):
    parser = SegmentationParser(
        Convolution(3),
        labels=["road", "car", "tram"],
        regions={"vehicles": ["car", "tram"]},
        preprocess=Preprocess(size=32),
    )
    assert parser.regions == ("vehicles",)
    assert parser.parse(image, ["vehicles"]).shape == (2, 1, 32, 32)
    with pytest.raises(InputError, match="no region is called 'road'; expected one of vehicles"):
        parser.parse(image, ["road"])
    with pytest.raises(InputError, match="no label is called 'bus'"):
        SegmentationParser(Convolution(2), labels=["road", "car"], regions={"vehicles": ["bus"]})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: {"out": logits, "aux": logits + 1},  # torchvision
        lambda logits: {"logits": logits},  # Hugging Face
        lambda logits: (logits, logits + 1, logits + 2),  # BiSeNet ports
        lambda logits: [logits],
    ],
)
def test_logits_are_found_wherever_they_are(image, wrap):
    torch.manual_seed(0)
    plain = Convolution(2)
    wrapped = Convolution(2, wrap)
    wrapped.load_state_dict(plain.state_dict())
    expected = SegmentationParser(plain, labels=["skin", "hair"], preprocess=Preprocess(size=32)).parse(image, ["hair"])
    assert torch.equal(
        SegmentationParser(wrapped, labels=["skin", "hair"], preprocess=Preprocess(size=32)).parse(image, ["hair"]),
        expected,
    )


def test_queries_vote_for_their_class_where_their_mask_is():
    sure, no = 50.0, -50.0
    output = {
        "class_queries_logits": torch.tensor([[[sure, no, no], [no, sure, no], [no, no, sure]]]),  # hair, skin, none
        "masks_queries_logits": torch.tensor([[[[sure, no]], [[no, sure]], [[sure, sure]]]]),  # left, right, all
    }
    torch.testing.assert_close(pick_logits(output).softmax(1), torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]]))


@pytest.mark.parametrize("output", [{"features": torch.ones(1)}, None, (), "logits"])
def test_unknown_outputs_are_refused(output):
    with pytest.raises(InputError, match="no logits found in what the network gave; expected a tensor"):
        pick_logits(output)


def test_gradients_flow_to_the_picture(image):
    picture = image.clone().requires_grad_()
    parser = SegmentationParser(Convolution(9), labels=RELEASED_LABELS, preprocess=Preprocess(size=16))
    (gradient,) = torch.autograd.grad(parser.parse(picture, ["hair"])[:, :, :8].sum(), picture)
    assert gradient.abs().sum() > 0


def test_parsers_work_in_float64(image):
    parser = SegmentationParser(
        Convolution(9), labels=RELEASED_LABELS, preprocess=Preprocess(size=16, mean=0.5)
    ).double()
    assert parser.parse(image.double(), ["hair"]).dtype == torch.float64


def test_a_real_segmentation_network(image):
    network = BiSeNet(classes=19, resnet=ResNet(blocks=(1, 1, 1, 1), bottleneck=False, width=4))
    parser = SegmentationParser(
        network, labels=BISENET_LABELS, preprocess=Preprocess(size=64, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    )
    masks = parser.parse(image, ["hair", "skin"])
    assert masks.shape == (2, 2, 64, 64)
    singles = torch.cat([parser.parse(picture[None], ["hair", "skin"]) for picture in image])
    torch.testing.assert_close(masks, singles, rtol=1e-4, atol=1e-5)


def test_attributes_come_in_the_order_asked(image):
    network = ResNet(blocks=(1, 1, 1, 1), bottleneck=False, width=4, outputs=3)
    classifier = AttributeClassifier(network, attributes=["smiling", "male", "young"], preprocess=Preprocess(size=32))
    logits = classifier.classify(image, ["young", "smiling"])
    assert torch.equal(logits, network(image)[:, [2, 0]])
    with pytest.raises(InputError, match="no attribute is called 'bald'"):
        classifier.classify(image, ["bald"])


@given(
    logits=st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=5),
    scale=st.sampled_from([0.1, 1.0, 3.0]),
)
def test_exclusive_classes_give_the_logit_of_one_against_the_others(logits, scale):
    values = scale * torch.tensor([logits])
    names = [f"class{i}" for i in range(len(logits))]
    classifier = AttributeClassifier(Recorder(values), attributes=names, exclusive=True, preprocess=Preprocess(size=4))
    torch.testing.assert_close(classifier.classify(torch.rand(1, 3, 4, 4), names).sigmoid(), values.softmax(1))


def test_exclusive_classes_stay_finite_when_sure():
    values = torch.tensor([[200.0, -200.0]], requires_grad=True)
    classifier = AttributeClassifier(
        Recorder(values), attributes=["smiling", "other"], exclusive=True, preprocess=Preprocess(size=4)
    )
    logits = classifier.classify(torch.rand(1, 3, 4, 4), ["smiling", "other"])
    assert torch.equal(logits, torch.tensor([[400.0, -400.0]]))
    (gradient,) = torch.autograd.grad(logits[0, 0], values)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SegmentationParser(Convolution(2), labels=["skin", "skin"]), "label needs a name of its own"),
        (lambda: SegmentationParser(Convolution(2), labels=[]), "label needs a name of its own; got none"),
        (lambda: Preprocess(size=0), "positive input size"),
        (lambda: Preprocess(size=8, mean=(1, 2)), "mean needs one value"),
        (lambda: AttributeClassifier(nn.Identity(), attributes=["a"], exclusive=True), "must be two or more"),
        (lambda: AttributeClassifier.from_timm(nn.Identity(), attributes=["a"]), "Identity is no timm model"),
        (lambda: AttributeClassifier.from_transformers(nn.Identity()), "Identity says no labels"),
    ],
)
def test_wrong_declarations_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_wrong_numbers_of_outputs_are_refused_in_a_sentence(image):
    with pytest.raises(InputError, match=r"one output for each label; expected 3 \(a, b, c\); got 2"):
        SegmentationParser(Convolution(2), labels=["a", "b", "c"], preprocess=Preprocess(size=32)).parse(image, ["a"])
    with pytest.raises(InputError, match="one output for each attribute; expected 1"):
        AttributeClassifier(Recorder(torch.zeros(2, 2)), attributes=["a"], preprocess=Preprocess(size=32)).classify(
            image, ["a"]
        )


# Real classes of other libraries, tiny and with random weights, so that nothing is downloaded.


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers", reason="needs transformers (the extra 'adapters')")


def _celebamask(count):
    return dict(enumerate(CELEBAMASK_LABELS[:count]))


def test_segformer(transformers, image):
    config = transformers.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=8,
        id2label=_celebamask(19),
    )
    model = transformers.SegformerForSemanticSegmentation(config)
    parser = SegmentationParser.from_transformers(
        model, preprocess=Preprocess(size=32, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    )
    assert "below_face" in parser.regions
    masks = parser.parse(image, ["hair", "eyes"])
    pixels = (image - _channels(*IMAGENET_MEAN)) / _channels(*IMAGENET_STD)
    logits = model(pixel_values=pixels).logits
    logits = nn.functional.interpolate(logits, (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(masks[:, 0], logits.softmax(1)[:, 13])
    torch.testing.assert_close(masks[:, 1], logits.softmax(1)[:, 4:6].sum(1))


def test_mask2former_style_queries(transformers, image):
    config = transformers.MaskFormerConfig(
        backbone_config=transformers.SwinConfig(
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 1, 1],
            window_size=2,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        decoder_config=transformers.DetrConfig(
            d_model=16,
            decoder_layers=1,
            encoder_layers=1,
            decoder_ffn_dim=16,
            encoder_ffn_dim=16,
            decoder_attention_heads=2,
            encoder_attention_heads=2,
            num_queries=5,
        ),
        fpn_feature_size=32,
        mask_feature_size=32,
        id2label=_celebamask(19),
    )
    model = transformers.MaskFormerForInstanceSegmentation(config)
    parser = SegmentationParser.from_transformers(
        model, preprocess=Preprocess(size=64, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    )
    masks = parser.parse(image, parser.regions)
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 64, 64))


def _vit(transformers, **config):
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=32,
            patch_size=16,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            **config,
        )
    )


def test_vit_of_independent_attributes(transformers, image):
    model = _vit(transformers, id2label={0: "Smiling", 1: "Wavy Hair"}, problem_type="multi_label_classification")
    classifier = AttributeClassifier.from_transformers(model, preprocess=Preprocess(size=32, mean=0.5, std=0.5))
    assert classifier.attributes == ("smiling", "wavy_hair")
    assert classifier.size == 32
    logits = classifier.classify(image, ["wavy_hair"])
    torch.testing.assert_close(logits[:, 0], model(pixel_values=2 * image - 1).logits[:, 1])


def test_vit_of_exclusive_classes(transformers, image):
    model = _vit(transformers, id2label={0: "angry", 1: "happy", 2: "sad"})
    classifier = AttributeClassifier.from_transformers(model, preprocess=Preprocess(size=32, mean=0.5, std=0.5))
    assert classifier.exclusive
    expected = model(pixel_values=2 * image - 1).logits.softmax(1)[:, 1]
    torch.testing.assert_close(classifier.classify(image, ["happy"])[:, 0].sigmoid(), expected)
    usual = AttributeClassifier.from_transformers(model, exclusive=False)
    assert not usual.exclusive
    assert repr(usual.preprocess) == f"Preprocess(size=32, mean={IMAGENET_MEAN}, std={IMAGENET_STD})"


def test_timm(image):
    timm = pytest.importorskip("timm", reason="needs timm")
    model = timm.create_model("resnet10t", pretrained=False, num_classes=2)
    classifier = AttributeClassifier.from_timm(model, attributes=["smiling", "male"])
    given_ = model.pretrained_cfg
    assert classifier.size == given_["input_size"][-1]
    pixels = nn.functional.interpolate(image, (classifier.size, classifier.size), mode="area")
    pixels = (pixels - _channels(*given_["mean"])) / _channels(*given_["std"])
    torch.testing.assert_close(classifier.classify(image, ["male"])[:, 0], model(pixels)[:, 1])


@pytest.mark.parametrize("resize", ["area", "smooth"])
def test_a_preprocess_is_its_formula_at_its_size(image, resize):
    prepare = Preprocess(size=16, resize=resize, input_range=(0, 255), mean=(104, 117, 123), std=(2, 4, 8))
    small = {"area": resize_by_area, "smooth": resize_smoothly}[resize](image, 16)
    expected = (255 * small - _channels(104, 117, 123)) / _channels(2, 4, 8)
    torch.testing.assert_close(prepare(image), expected, rtol=1e-5, atol=1e-4)
    assert prepare(image.double()).dtype == torch.float64
    assert not prepare.state_dict()
    assert "resize='smooth'" in repr(prepare) or resize == "area"


def test_a_smooth_resize_keeps_what_is_flat_and_leaves_its_own_size_alone(image):
    assert resize_smoothly(image, image.shape[-1]) is image
    flat = torch.full((1, 3, 50, 70), 0.3)
    torch.testing.assert_close(resize_smoothly(flat, 16), torch.full((1, 3, 16, 16), 0.3))
