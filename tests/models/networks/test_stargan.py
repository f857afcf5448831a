"""StarGAN against the released program: keys, pictures, gradients; its sizes read from any state dict."""

import pytest
import torch

from maskedit.errors import CheckpointError
from maskedit.models.networks.stargan import StarGAN, StarGANDiscriminator
from tests.models.networks.rivals import Reference, shapes_of


@pytest.fixture(scope="module")
def reference(fixtures):
    return Reference(fixtures, "stargan")


@pytest.fixture(scope="module")
def generator(reference):
    return reference.filled(StarGAN()).double().eval()


def test_keys_are_the_published_ones(reference) -> None:
    assert shapes_of(StarGAN()) == reference.shapes("G")
    assert shapes_of(StarGANDiscriminator()) == reference.shapes("D")


def test_pictures_and_gradients_are_the_released_programs(reference, generator) -> None:
    image = reference.image[:1].clone().requires_grad_()
    out = generator(image, reference["target_a"][:1])
    reference.check_picture("out_a", out)
    reference.check_gradient("grad_a", image, out)


def test_stored_statistics_are_there_and_ignored_unless_asked_for(reference, generator) -> None:
    other = StarGAN.from_state_dict(generator.state_dict(), stored_statistics=True)
    reference.check_single(other, "target_a", "out_a_eval")


def test_the_other_edit_in_single_precision(reference, generator) -> None:
    reference.check_single(generator, "target_b", "out_b", "grad_b")


def test_discriminator_sees_what_the_released_one_sees(reference) -> None:
    network = reference.filled(StarGANDiscriminator())
    with torch.no_grad():
        real, attributes = network(reference.image.float())
    reference.close("dis_src", real)
    reference.close("dis_cls", attributes)


def small() -> StarGAN:
    return StarGAN(attributes=3, width=4, blocks=2)


def test_sizes_are_read_from_the_weights_and_old_files_load() -> None:
    network = small()
    state = {f"module.{k}": v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    loaded = StarGAN.from_state_dict(state)
    assert (loaded.attributes, loaded.training) == (3, False)
    assert not any(p.requires_grad for p in loaded.parameters())
    picture, labels = torch.rand(2, 3, 12, 20), torch.rand(2, 3)
    torch.testing.assert_close(loaded(picture, labels), network.eval()(picture, labels))

    other = StarGANDiscriminator(attributes=3, width=4, layers=3, size=16)
    again = StarGANDiscriminator.from_state_dict(other.state_dict())
    torch.testing.assert_close(again(torch.ones(1, 3, 16, 16)), other(torch.ones(1, 3, 16, 16)))


def test_a_batch_is_its_singles_in_either_mode() -> None:
    network, picture, labels = small(), torch.rand(3, 3, 16, 16), torch.eye(3)
    for mode in (True, False):
        network.train(mode)
        singles = torch.cat([network(picture[i : i + 1], labels[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(network(picture, labels), singles, atol=1e-5, rtol=0)


def test_foreign_weights_are_refused() -> None:
    with pytest.raises(CheckpointError, match="this is no StarGAN; expected a state dict with 'main.0.weight'"):
        StarGAN.from_state_dict({"x": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="StarGAN"):
        StarGAN.from_state_dict(StarGANDiscriminator(size=64, width=4).state_dict())
    with pytest.raises(CheckpointError, match="this is no StarGANDiscriminator"):
        StarGANDiscriminator.from_state_dict(small().state_dict())
