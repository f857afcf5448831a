"""STGAN against the authors' program: keys, units, pictures, gradients; TensorFlow's variables and any sizes."""

import pytest
import torch

from maskedit.errors import CheckpointError
from maskedit.models.networks.stgan import STGAN, STGANDiscriminator, from_tensorflow
from tests.models.networks.rivals import Reference, shapes_of

WEAKER = "decoder.4.conv.weight"


@pytest.fixture(scope="module")
def reference(fixtures):
    return Reference(fixtures, "stgan")


@pytest.fixture(scope="module")
def generator(reference):
    return reference.filled(STGAN(), weaker=WEAKER).double().eval()


def test_keys_are_the_published_ones(reference) -> None:
    with torch.device("meta"):
        assert shapes_of(STGAN()) == reference.shapes("G")
        assert shapes_of(STGANDiscriminator()) == reference.shapes("D")


def test_maps_units_pictures_and_gradients_are_the_released_programs(reference, generator) -> None:
    image = reference.image[:1].clone().requires_grad_()
    handed: list[tuple[torch.Tensor, torch.Tensor]] = []
    hooks = [unit.register_forward_hook(lambda _, __, out: handed.append(out)) for unit in generator.stu]
    with torch.no_grad():
        for i, found in enumerate(generator.encode(image)):
            reference.check_map(f"enc_{i}", found)
    out = generator(image, reference["difference_a"][:1])
    for hook in hooks:
        hook.remove()
    for j, (chosen, state) in enumerate(handed):
        reference.check_map(f"stu_out_{j}_a", chosen)
        reference.check_map(f"stu_state_{j}_a", state)
    assert len(handed) == 4
    reference.check_picture("out_a", out)
    reference.check_gradient("grad_a", image, out)


def test_the_other_edit_in_single_precision(reference, generator) -> None:
    reference.check_single(generator, "no difference", "out_zero")
    reference.check_single(generator, "difference_b", "out_b", "grad_b")


def test_discriminator_sees_what_the_released_one_sees(reference) -> None:
    network = reference.filled(STGANDiscriminator())
    with torch.no_grad():
        real, attributes = network(reference.image.float())
    reference.close("dis_adv", real)
    reference.close("dis_att", attributes)


def test_tensorflows_variables_become_the_keys(reference) -> None:
    """Names and shapes of all; of a number its place: a convolution, and a linear layer after flattening."""
    shapes = {name: entry["shape"] for name, entry in reference.keys["tensorflow"].items()}
    with torch.device("meta"):
        variables = {name: torch.empty(shape) for name, shape in shapes.items()}
        slots = {name + "/Adam": value for name, value in variables.items()} | {"beta1_power": torch.empty(())}
        generator, discriminator = from_tensorflow(variables | slots)
    assert {k: list(v.shape) for k, v in generator.items()} == reference.shapes("G")
    assert {k: list(v.shape) for k, v in discriminator.items()} == reference.shapes("D")
    for name, entry in reference.keys["tensorflow"].items():
        one = dict.fromkeys(shapes, torch.empty(0, device="meta")) | variables
        found = from_tensorflow(
            {k: v for k, v in one.items() if k == name or k == "D/Conv_4/weights"}
            | {"Genc/Conv/weights": variables["Genc/Conv/weights"]}
        )
        assert entry["key"] in (found[0] | found[1]), name


def test_tensorflows_numbers_go_where_the_readme_says() -> None:
    conv = torch.randn(4, 4, 3, 8)
    deep = torch.randn(4, 4, 2, 4)
    linear, last = torch.randn(2 * 2 * 4, 5), torch.randn(5, 3)
    generator, discriminator = from_tensorflow(
        {
            "Genc/Conv/weights": conv,
            "D/Conv_4/weights": deep,
            "D/flatten_fully_connected/fully_connected/weights": linear,
            "D/flatten_fully_connected_3/fully_connected/weights": last,
        }
    )
    assert generator["encoder.0.conv.weight"][5, 2, 1, 3] == conv[1, 3, 2, 5]
    features = torch.randn(1, 4, 2, 2)
    expected = features.permute(0, 2, 3, 1).flatten(1) @ linear
    torch.testing.assert_close(features.flatten(1) @ discriminator["fc_adv.0.weight"].T, expected)
    assert torch.equal(discriminator["fc_att.1.weight"], last.T)
    with pytest.raises(CheckpointError, match="no variables of STGAN"):
        from_tensorflow({"global_step": torch.zeros(())})


@pytest.mark.parametrize("unit_width", [4, 6])
def test_sizes_are_read_from_the_weights(unit_width) -> None:
    network = STGAN(attributes=3, width=4, unit_width=unit_width).eval()
    picture, difference = torch.rand(2, 3, 32, 64), torch.rand(2, 3)
    torch.testing.assert_close(
        STGAN.from_state_dict(network.state_dict())(picture, difference), network(picture, difference)
    )
    other = STGANDiscriminator(attributes=3, width=4, size=64, hidden=8)
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(STGANDiscriminator.from_state_dict(other.state_dict())(picture), other(picture))


def test_foreign_weights_are_refused() -> None:
    with pytest.raises(CheckpointError, match="this is no STGAN; expected a state dict with 'encoder.0.conv.weight'"):
        STGAN.from_state_dict({"x": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="this is no STGANDiscriminator"):
        STGANDiscriminator.from_state_dict({"x": torch.zeros(1)})
