"""StyleGAN2's styles and features may be given in place of its own, and its features may be looked at."""

import pytest
import torch

import maskedit as me
from maskedit.models import StyleGAN2
from maskedit.protocols import ShowsMore, TakesInputs

ARCHITECTURES = ("skip", "resnet", "orig")


def made(architecture: str = "skip", frozen: bool = True) -> tuple[StyleGAN2, torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(1)
    generator = StyleGAN2(
        resolution=32, latent_dim=8, channels=[8, 6, 6, 4], mapping_layers=1, architecture=architecture
    )
    for conv in generator.convs:
        torch.nn.init.constant_(conv.noise_strength, 0.3)
    generator = generator.double().eval()
    latent = torch.randn(2, *generator.latent_shape, dtype=torch.float64)
    noises = [torch.randn(2, 1, *shape, dtype=torch.float64) for shape in generator.noise_shapes]
    return (generator.freeze() if frozen else generator), latent, noises


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_its_own_styles_give_its_own_picture(architecture):
    generator, latent, noises = made(architecture)
    assert isinstance(generator, TakesInputs)
    assert isinstance(generator, ShowsMore)
    names = [name for name in generator.input_shapes if name.startswith("styles.")]
    own = generator.inputs_of(latent, noises, names)
    assert {name: tuple(value.shape[1:]) for name, value in own.items()} == {
        n: generator.input_shapes[n] for n in names
    }
    whole = generator.synthesize(latent, noises)
    torch.testing.assert_close(generator.synthesize(torch.zeros_like(latent), noises, own), whole)
    other = generator.synthesize(latent, noises, {"styles.0": own["styles.0"] + 1})
    assert not torch.allclose(other, whole)


def test_styles_come_in_the_order_in_which_they_are_used():
    generator, _, _ = made()
    parts = generator._steered_parts()
    assert [row for _, row in parts] == [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7]
    assert [type(part).__name__[0] for part, _ in parts] == list("STSSTSSTSST")


@pytest.mark.parametrize("architecture", ["resnet", "orig"])
def test_its_own_features_give_its_own_picture_where_colours_come_last(architecture):
    generator, latent, noises = made(architecture)
    whole, shown = generator.synthesize_showing(latent, noises, ["features.8"])
    torch.testing.assert_close(generator.synthesize(latent, noises, shown), whole)
    moved = latent.clone()
    moved[:, :3] = 0  # the rows before are idle
    torch.testing.assert_close(generator.synthesize(moved, noises, shown), whole)


def test_with_features_the_colours_before_them_are_left_out():
    generator, latent, noises = made()
    whole, shown = generator.synthesize_showing(latent, noises, generator.shows)
    assert [tuple(value.shape[1:]) for value in shown.values()] == [(8, 4, 4), (6, 8, 8), (6, 16, 16), (4, 32, 32)]
    from_features = generator.synthesize(latent, noises, {"features.8": shown["features.8"]})
    assert not torch.allclose(from_features, whole)
    again = generator.synthesize_showing(latent, noises, ["features.32"], {"features.8": shown["features.8"]})[1]
    torch.testing.assert_close(again["features.32"], shown["features.32"])


def test_gradients_of_inputs_are_right():
    generator, latent, noises = made()
    own = generator.inputs_of(latent, noises, ["features.16", "styles.7"])

    def picture(features: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        return generator.synthesize(latent, noises, {"features.16": features, "styles.7": style}).sum(1)[:, ::7, ::7]

    assert torch.autograd.gradcheck(picture, [value.requires_grad_() for value in own.values()], fast_mode=True)


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("inputs", "says"),
    [({"styles.99": torch.zeros(2, 3)}, "a name in its input_shapes"), ({"styles.0": torch.zeros(2, 3)}, r"\[2, 8\]")],
)
def test_inputs_that_do_not_fit_are_refused(inputs, says):
    generator, latent, noises = made()
    with pytest.raises(me.InputError, match=says):
        generator.synthesize(latent, noises, inputs)


@pytest.mark.parametrize("vary", [me.styles(lr=0.05), me.features(lr=0.05, at=8), me.weights(lr=1e-2)], ids=str)
@pytest.mark.filterwarnings("ignore:the generator's pictures")
def test_they_move(vary):
    generator, latent, _ = made()
    like = me.Term("like", me.each(torch.nn.MSELoss()))
    problem = me.Problem(me.Models(generator=generator), torch.rand(2, 3, 32, 32).double(), start=latent)
    total = me.run(problem, me.Schedule(me.Stage("move", 8, like, vary=vary), blend=None)).history.total
    assert (total[:, -1] < total[:, 0]).all()
