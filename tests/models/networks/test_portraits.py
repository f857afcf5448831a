"""The small networks of the portrait models, and the bundled weights: protocols, independence, figures."""

import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from maskedit.attributes import ATTRIBUTE_REGIONS, REGIONS
from maskedit.errors import CheckpointError, InputError
from maskedit.models import load, load_landmarks
from maskedit.models.networks.portraits import (
    LandmarkNet,
    PortraitClassifier,
    PortraitEncoder,
    PortraitJudge,
    PortraitParser,
)
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.models.weights.bundled import WEIGHTS, read_networks, rounded, write_networks
from maskedit.protocols import Classifier, Encoder, Generator, Models, Parser


def pictures(count: int = 3, size: int = 80) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def outputs(network: nn.Module, image: Tensor) -> Tensor:
    """What a network says, whatever its kind."""
    if isinstance(network, PortraitParser):
        return network.parse(image, network.regions)
    if isinstance(network, PortraitClassifier | PortraitJudge):
        return network.classify(image, network.attributes)
    if isinstance(network, PortraitEncoder):
        return network.encode(image)
    assert isinstance(network, LandmarkNet)
    return network.landmarks(image)


def encoder() -> PortraitEncoder:
    network = PortraitEncoder(layers=4, dim=6, size=8, components=12)
    network.look_at(torch.rand(12, 3, 16, 16))
    nn.init.normal_(network.expand.weight)
    return network


NETWORKS = {
    "parser": lambda: PortraitParser(size=32, widths=(8, 8, 8)),
    "classifier": lambda: PortraitClassifier(size=32, widths=(4, 8, 8)),
    "judge": lambda: PortraitJudge(size=32, widths=(8, 8, 8)),
    "encoder": encoder,
    "landmarks": lambda: LandmarkNet(size=32, widths=(8, 8, 8)),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[request.param]().eval()


def test_batch_equals_singles(network: nn.Module) -> None:
    image = pictures()
    singles = torch.cat([outputs(network, one[None]) for one in image])
    torch.testing.assert_close(outputs(network, image), singles, atol=1e-5, rtol=1e-4)


def test_works_in_double_precision(network: nn.Module) -> None:
    assert outputs(network.double(), pictures().double()).dtype == torch.float64


def test_gradient_reaches_every_picture(network: nn.Module) -> None:
    image = pictures().requires_grad_()
    outputs(network, image).square().sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert (image.grad.flatten(1).abs().amax(1) > 0).all()


def test_parser_gives_probabilities_by_name() -> None:
    parser = PortraitParser().eval()
    everything = parser.parse(pictures(), parser.regions)
    assert everything.shape == (3, 9, 128, 128)
    torch.testing.assert_close(everything.sum(1), torch.ones(3, 128, 128))
    two = parser.parse(pictures(), ("hair", "mouth"))
    torch.testing.assert_close(two, everything[:, [REGIONS.index("hair"), REGIONS.index("mouth")]])


def test_classifier_answers_in_the_order_asked() -> None:
    classifier = PortraitClassifier().eval()
    everything = dict(zip(classifier.attributes, classifier.classify(pictures(), classifier.attributes).T, strict=True))
    asked = ("smiling", "black_hair", "wearing_lipstick")
    torch.testing.assert_close(
        classifier.classify(pictures(), asked), torch.stack([everything[name] for name in asked], 1)
    )
    assert set(ATTRIBUTE_REGIONS) < set(classifier.attributes)


def test_classifier_computes_only_the_branches_asked_for() -> None:
    classifier = PortraitClassifier().eval()
    called = []
    for name, branch in classifier.branches.items():
        branch.register_forward_hook(lambda *_, name=name: called.append(name))
    classifier.classify(pictures(), ("smiling", "narrow_eyes"))
    assert called == ["mouth", "eyes"]


def test_unknown_names_get_a_sentence() -> None:
    with pytest.raises(InputError, match="no region is called 'wheels'; expected one of background"):
        PortraitParser().parse(pictures(), ("hair", "wheels"))
    with pytest.raises(InputError, match="no attribute is called 'happy'"):
        PortraitClassifier().classify(pictures(), ("happy",))
    with pytest.raises(InputError, match="no bundled models are called 'cats'"):
        load("cats")


def test_landmarks_follow_the_picture() -> None:
    """The whole chain from maps to points is in the crop's own coordinates: x to the right, y downwards."""
    network = LandmarkNet(size=32, widths=(8, 8, 8)).eval()
    network.trunk = nn.Identity()  # the pictures' first channel is then the map
    network.head = nn.Conv2d(3, 68, 1)
    nn.init.zeros_(network.head.weight)
    network.head.weight.data[:, 0] = 100
    image = torch.zeros(1, 3, 32, 32)
    image[0, 0, 20, 5] = 1
    expected = torch.tensor([5.5 / 32, 20.5 / 32])
    torch.testing.assert_close(network.landmarks(image)[0, 7], expected, atol=1e-3, rtol=0)


def test_written_weights_are_read(tmp_path: Path) -> None:
    config = {"size": 32, "widths": (8, 8, 8)}
    parser = PortraitParser(**config).eval()
    write_networks(tmp_path / "a.safetensors", {"parser": (parser, config)}, {"latents.mean": torch.ones(2)})
    networks, tensors = read_networks(tmp_path / "a.safetensors")
    torch.testing.assert_close(outputs(networks["parser"], pictures()), outputs(parser, pictures()), atol=0.01, rtol=0)
    assert tensors.keys() == {"latents.mean"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@given(st.floats(-1000, 1000, width=32))
def test_rounded_weights_have_eight_bits_and_are_the_nearest_such(value: float) -> None:
    found = rounded(torch.tensor([value]))
    assert found.dtype == torch.float16
    assert not (found.view(torch.int16) & 0b111).any()
    assert abs(float(found) - value) <= max(abs(value) * 2**-8 * 1.13, 2**-21)  # halves are rounded twice
    assert torch.equal(rounded(found), found)


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
def test_broken_weights_get_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"the bundled weights a\.safetensors cannot be read"):
        read_networks(tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def portraits() -> Models:
    return load("portraits")


def test_bundled_models_keep_the_protocols(portraits: Models) -> None:
    generator, parser, classifier, encoder = (
        portraits.generator,
        portraits.parser,
        portraits.classifier,
        portraits.encoder,
    )
    assert isinstance(generator, Generator)
    assert isinstance(parser, Parser)
    assert isinstance(classifier, Classifier)
    assert isinstance(encoder, Encoder)
    assert tuple(parser.regions) == REGIONS
    assert len(set(classifier.attributes) & set(ATTRIBUTE_REGIONS)) >= 6
    latent = encoder.encode(pictures(2, generator.resolution))
    assert latent.shape == (2, *generator.latent_shape)
    noises = [torch.zeros(2, 1, *shape) for shape in generator.noise_shapes]
    assert generator.synthesize(latent, noises).shape == (2, 3, generator.resolution, generator.resolution)


def test_bundled_models_are_frozen(portraits: Models) -> None:
    for part in ("generator", "parser", "classifier", "encoder"):
        network = getattr(portraits, part)
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_bundled_latents_are_a_distribution(portraits: Models) -> None:
    latents = portraits.latents
    assert latents is not None
    count = len(latents.deviations)
    assert latents.mean.shape == portraits.generator.latent_shape
    torch.testing.assert_close(latents.components @ latents.components.T, torch.eye(count), atol=1e-4, rtol=0)
    assert (latents.deviations[:-1] >= latents.deviations[1:]).all()
    assert (latents.deviations > 0).all()


def test_noise_changes_the_picture(portraits: Models) -> None:
    """A detail stage has something to move."""
    generator, latents = portraits.generator, portraits.latents
    assert latents is not None
    random = torch.Generator().manual_seed(0)
    silent = [torch.zeros(1, 1, *shape) for shape in generator.noise_shapes]
    noisy = [torch.randn(1, 1, *shape, generator=random) for shape in generator.noise_shapes]
    change = generator.synthesize(latents.mean[None], noisy) - generator.synthesize(latents.mean[None], silent)
    assert change.abs().mean() > 2e-3


def test_bundled_weights_are_small_packed_as_a_wheel_packs_them() -> None:
    packed = sum(len(zlib.compress(path.read_bytes(), 6)) for path in WEIGHTS.glob("*.safetensors"))
    assert packed < 9.6e6  # the wheel shall be under 10 MB


def test_bundled_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors")) < 25e6


def test_bundled_models_do_as_their_card_says(portraits: Models, faces: Path) -> None:
    """Floors a little below the figures in the cards, on a third of the held-out faces, as the eye sees them."""
    from benchmarks.faces import DATA
    from benchmarks.faces.checked import checked_attributes
    from benchmarks.faces.checked_regions import checked_regions
    from benchmarks.faces.photos import labelled_faces
    from maskedit.metrics import intersection_over_union, psnr
    from maskedit.training.classifier import balanced_accuracy, logits_of
    from maskedit.training.labels import SIZE, load_labels
    from maskedit.training.landmarks import held_out_error
    from maskedit.training.parser import found_regions
    from maskedit.training.reconstruction import reconstruct

    everyone = labelled_faces(faces, "test")
    some = everyone.only(range(0, len(everyone), 3))
    parser, classifier = portraits.parser, portraits.classifier
    assert isinstance(parser, PortraitParser)
    assert isinstance(classifier, PortraitClassifier)
    photos = some.resized(portraits.generator.resolution).float() / 255
    assert isinstance(portraits.generator, StyleGAN2)
    assert portraits.encoder is not None
    assert psnr(reconstruct(portraits.generator, portraits.encoder, photos), photos).mean() > PSNR_FLOOR
    rows, maps = checked_regions(some, load_labels(DATA, some))
    shares = intersection_over_union(found_regions(parser, some.resized(SIZE)[rows]), maps, len(REGIONS))
    assert shares.mean() > OVERLAP_FLOOR
    found = checked_attributes(some.names, classifier.attributes)
    accuracies = balanced_accuracy(logits_of(classifier, some), found)
    assert accuracies.nanmean() > ACCURACY_FLOOR
    assert held_out_error(load_landmarks(), some).mean() < ERROR_CEILING


PSNR_FLOOR, OVERLAP_FLOOR, ACCURACY_FLOOR, ERROR_CEILING = 23.0, 0.73, 0.77, 0.042


def test_landmarks_of_the_astronaut() -> None:
    """Eyes, nose and mouth of scikit-image's portrait, read off by eye."""
    data = pytest.importorskip("skimage.data")
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    top, left, side = 46, 145, 158
    points = load_landmarks().landmarks(photo[:, :, top : top + side, left : left + side])[0] * side
    points = points + torch.tensor([left, top])
    expected = {"right eye": (203, 100), "left eye": (247, 103), "nose": (225, 126), "mouth": (224, 145)}
    found = {
        "right eye": points[36:42].mean(0),
        "left eye": points[42:48].mean(0),
        "nose": points[30],
        "mouth": points[60:68].mean(0),
    }
    for name, place in expected.items():
        assert (found[name] - torch.tensor(place)).norm() < 4, (name, found[name])


@pytest.mark.parametrize("attribute", ["smiling", "arched_eyebrows", "gray_hair"])
def test_the_bundled_directions_do_what_they_say(portraits: Models, attribute: str) -> None:
    """From the mean face, for the classifier that took no part in them."""
    latents = portraits.latents
    assert latents is not None
    assert set(latents.directions) == set(portraits.classifier.attributes)  # type: ignore[union-attr]
    moved = torch.stack([latents.mean + strength * latents.directions[attribute] for strength in (-1.0, 0.0, 1.0, 2.0)])
    logits = portraits.classifier.classify(portraits.generator.synthesize(moved, []), [attribute])[:, 0]  # type: ignore[union-attr]
    assert (logits.diff() > 0).all()
    assert logits[-1] - logits[1] > 2
