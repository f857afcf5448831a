"""AttGAN against the released program: keys, feature maps, pictures, gradients; its sizes read from any state dict."""

import pytest
import torch

from maskedit.errors import CheckpointError
from maskedit.models.networks.attgan import AttGAN, AttGANDiscriminator
from tests.models.networks.rivals import Reference, shapes_of

WEAKER = "dec_layers.4.layers.0.weight"


@pytest.fixture(scope="module")
def reference(fixtures):
    return Reference(fixtures, "attgan")


@pytest.fixture(scope="module")
def generator(reference):
    return reference.filled(AttGAN(), weaker=WEAKER).double().eval()


def test_keys_are_the_published_ones(reference) -> None:
    with torch.device("meta"):
        assert shapes_of(AttGAN()) == reference.shapes("G")
        assert shapes_of(AttGAN(injections=0)) == reference.shapes("G") | reference.keys["G_differences_inject0"]
        assert shapes_of(AttGANDiscriminator()) == reference.shapes("D")


def test_maps_pictures_and_gradients_are_the_released_programs(reference, generator) -> None:
    image = reference.image[:1].clone().requires_grad_()
    with torch.no_grad():
        for i, found in enumerate(generator.encode(image)):
            reference.check_map(f"enc_{i}", found)
    out = generator(image, reference["vector_a"][:1])
    reference.check_picture("out_a", out)
    reference.check_gradient("grad_a", image, out)


def test_the_other_edit_in_single_precision(reference, generator) -> None:
    reference.check_single(generator, "vector_original", "out_original")
    reference.check_single(generator, "vector_b", "out_b", "grad_b")


def test_discriminator_sees_what_the_released_one_sees(reference) -> None:
    network = reference.filled(AttGANDiscriminator())
    with torch.no_grad():
        real, attributes = network(reference.image.float())
    reference.close("dis_adv", real)
    reference.close("dis_cls", attributes)


@pytest.mark.parametrize("shortcuts", [0, 1, 4])
@pytest.mark.parametrize("injections", [0, 1, 3])
def test_sizes_are_read_from_the_weights(shortcuts, injections) -> None:
    network = AttGAN(attributes=3, width=4, shortcuts=shortcuts, injections=injections).eval()
    loaded = AttGAN.from_state_dict(network.state_dict())
    assert (loaded.attributes, loaded.shortcuts, loaded.injections) == (3, shortcuts, injections)
    picture, vector = torch.rand(2, 3, 32, 64), torch.rand(2, 3)
    torch.testing.assert_close(loaded(picture, vector), network(picture, vector))


def test_the_discriminators_sizes_are_read_from_the_weights() -> None:
    network = AttGANDiscriminator(attributes=3, width=4, size=64, hidden=8)
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(AttGANDiscriminator.from_state_dict(network.state_dict())(picture), network(picture))


def test_foreign_weights_are_refused() -> None:
    with pytest.raises(CheckpointError, match="this is no AttGAN; expected a state dict with 'enc_layers.0"):
        AttGAN.from_state_dict({"x": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="this is no AttGANDiscriminator"):
        AttGANDiscriminator.from_state_dict({"x": torch.zeros(1)})
