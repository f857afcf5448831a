"""e4e, pSp and ReStyle against the fixtures, and their own promises.

One state dict by formula serves all three: their heads have the same keys. A picture's gradient does not depend on the
other pictures, so one of the two recorded ones is enough.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from maskedit.errors import CheckpointError, InputError
from maskedit.models.files.generators import generator_from_state
from maskedit.models.networks.psp import PSP, StyleEncoder
from maskedit.models.networks.restyle import ReStyle
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.protocols import Encoder
from tests.data import formula
from tests.models.networks.by_formula import Shapes, close, close_gradient, filled, ir_se50, keys, pictures, values


def encoder_keys(fixtures: Path, name: str) -> Shapes:
    return {key: shape for key, shape in keys(fixtures, name)["state_dict"].items() if key.startswith("encoder.")}


def bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("encoder."): weight for key, weight in state.items()}


@pytest.fixture(scope="module")
def state(fixtures: Path) -> dict[str, Tensor]:
    """Of e4e and of pSp."""
    return ir_se50(encoder_keys(fixtures, "e4e"))


@pytest.fixture(scope="module")
def restyle_state(fixtures: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of ReStyle with ten heads, for the small decoder."""
    shapes = {
        key: shape
        for key, shape in encoder_keys(fixtures, "restyle").items()
        if not key.startswith("encoder.styles.") or int(key.split(".")[2]) < 10
    }
    new = ir_se50({key: shape for key, shape in shapes.items() if list(state[key].shape) != shape})
    assert list(new) == ["encoder.input_layer.0.weight"]
    return {key: new.get(key, state[key]) for key in shapes}


def tiny(**changes: object) -> StyleEncoder:
    return StyleEncoder(**{"width": 16, "rows": 8, **changes}).eval().requires_grad_(False)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["e4e", "psp", "restyle"])
def test_keys_are_those_of_the_published_checkpoints(fixtures: Path, name: str) -> None:
    with torch.device("meta"):
        network = StyleEncoder(inputs=6 if name == "restyle" else 3, pyramid=name != "restyle")
    own = {f"encoder.{key}": list(weight.shape) for key, weight in network.state_dict().items()}
    assert own == encoder_keys(fixtures, name)


def gradient_of(network: StyleEncoder, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The output for some of the recorded pictures, and the gradient of ``(out * c).mean()`` over both of them."""
    x.requires_grad_()
    out = network(x)
    (gradient,) = torch.autograd.grad((out * c.to(out)).sum() / (2 * out[0].numel()), x)
    return out.detach(), gradient


def test_e4e_is_the_recorded_one(fixtures: Path, state: Mapping[str, Tensor]) -> None:
    recorded = values(fixtures, "e4e")
    network = StyleEncoder.from_state_dict(bare(state), progressive=True)
    x = pictures(recorded) * 2 - 1
    for stage in (0, 5):
        close(network(x[1:], stage), recorded[f"out_stage_{stage}"][1:])
    average = formula.fill("latent_avg", torch.empty(18, 512))
    close(PSP(network, average).encode(pictures(recorded)[1:]), recorded["latent"][1:])
    network.double()
    c = formula.normal(int(recorded["c_seed"]), 2, 18, 512)[:1]
    out, gradient = gradient_of(network, x[:1].double(), c)
    close(out, recorded["out"][:1])
    close_gradient(gradient[..., ::4, ::4], recorded["grad"][:1])


def test_psp_is_the_recorded_one(fixtures: Path, state: Mapping[str, Tensor]) -> None:
    recorded = values(fixtures, "psp")
    network = StyleEncoder.from_state_dict(bare(state), progressive=False)
    x = pictures(recorded) * 2 - 1
    c = formula.normal(int(recorded["c_seed"]), 2, 18, 512)[1:]
    out, gradient = gradient_of(network, x[1:], c)
    close(out, recorded["out"][1:])
    close(out + formula.fill("latent_avg", torch.empty(18, 512)), recorded["latent"][1:])
    close_gradient(gradient[..., ::4, ::4], recorded["grad"][1:], 2e-2)


def test_the_maps_that_heads_see_are_made_of_the_recorded_ones(fixtures: Path, state: Mapping[str, Tensor]) -> None:
    recorded = values(fixtures, "psp")
    network, kept = StyleEncoder.from_state_dict(bare(state), progressive=False), {}
    for i, every in ((6, 4001), (20, 2003), (23, 1009)):
        network.body[i].register_forward_hook(
            lambda _, __, out, i=i, every=every: kept.update({i: out.flatten()[::every]})
        )
    network.maps(pictures(recorded) * 2 - 1)
    for i, feature in kept.items():
        close(feature, recorded[f"c{i}"])
    assert len(kept) == 3


@pytest.fixture(scope="module")
def decoder(fixtures: Path) -> StyleGAN2:
    shapes = json.loads((fixtures / "stylegan2_64.keys.json").read_text())
    return generator_from_state(filled(shapes, stylegan=True))


@pytest.mark.parametrize("kind", ["psp", "e4e"])
def test_restyle_is_the_recorded_one(
    fixtures: Path, restyle_state: Mapping[str, Tensor], decoder: StyleGAN2, kind: str
) -> None:
    recorded = values(fixtures, "restyle")
    which = slice(0, 1) if kind == "psp" else slice(1, 2)
    image = pictures(recorded)[which]
    network = StyleEncoder.from_state_dict(bare(restyle_state), progressive=kind == "e4e")
    average = formula.fill("latent_avg", torch.empty(10, 512))
    restyle = ReStyle(network, decoder, average, rounds=3)
    drawn = restyle.draw(average[None]) * 2 - 1
    close(drawn[0].repeat_interleave(4, 1).repeat_interleave(4, 2)[:, ::4, ::4], recorded["average_image"])
    for i, latent in enumerate(restyle.refine(image)):
        close(latent[..., ::2], recorded[f"{kind}_latents"][i, which])
        picture = restyle.draw(latent) * 2 - 1
        close(picture[..., ::4, ::4], recorded[f"{kind}_images"][i, which])
        close(picture.square().mean((2, 3)).sqrt(), recorded[f"{kind}_image_rms"][i, which])
    assert i == 2
    x = image * 2 - 1
    c = formula.normal(int(recorded["c_seed"]), 2, 10, 512)[which]
    _, gradient = gradient_of(network, torch.cat([x, x.flip(3)], 1), c)
    close_gradient(gradient[..., ::8, ::8], recorded[f"{kind}_grad"][which], 2e-2)


def test_one_pass_gives_each_picture_its_latent() -> None:
    average = torch.randn(8, 128)
    encoder = PSP(tiny(), average)
    assert isinstance(encoder, Encoder)
    image = torch.rand(2, 3, 512, 512)
    latent = encoder.encode(image)
    assert latent.shape == (2, 8, 128)
    torch.testing.assert_close(latent, torch.cat([encoder.encode(image[:1]), encoder.encode(image[1:])]))
    small = torch.nn.functional.avg_pool2d(image, 2)
    torch.testing.assert_close(latent, average + encoder.encoder(small * 2 - 1))


def test_progressive_rows_are_added_to_the_first() -> None:
    each = tiny(rows=8)
    added = tiny(rows=8, progressive=True)
    added.load_state_dict(each.state_dict())
    x = torch.randn(1, 3, 256, 256)
    own, rows = each(x), added(x)
    torch.testing.assert_close(rows[:, :1], own[:, :1])
    torch.testing.assert_close(rows[:, 1:], own[:, 1:] + own[:, :1])
    torch.testing.assert_close(added(x, 3)[:, :4], rows[:, :4])
    torch.testing.assert_close(added(x, 3)[:, 4:], own[:, :1].expand(-1, 4, -1))


class Drawer:
    """A generator without modules or constant noise; what it draws is the mean of the latent."""

    resolution, latent_shape, noise_shapes = 32, (8, 128), ((4, 4),)

    def __init__(self) -> None:
        self.drawn: list[int] = []

    def synthesize(self, latent: Tensor, noises: tuple[Tensor, ...]) -> Tensor:
        (noise,) = noises
        assert not noise.any()
        assert noise.shape == (len(latent), 1, 4, 4)
        self.drawn.append(len(latent))
        return latent.mean((1, 2)).sigmoid()[:, None, None, None].expand(-1, 3, 32, 32)


def test_restyle_shows_the_encoder_what_was_drawn_and_goes_on_from_there() -> None:
    generator, average = Drawer(), torch.randn(8, 128)
    encoder = tiny(inputs=6, pyramid=False)
    restyle = ReStyle(encoder, generator, average, rounds=2)
    assert isinstance(restyle, Encoder)
    image = torch.rand(2, 3, 256, 256)
    latent = average.expand(2, -1, -1)
    for _ in range(2):
        drawn = latent.mean((1, 2)).sigmoid()[:, None, None, None].expand(-1, 3, 256, 256)
        latent = latent + encoder(torch.cat([image, drawn], 1) * 2 - 1)
    torch.testing.assert_close(restyle.encode(image), latent)
    assert generator.drawn == [1, 2]  # the average picture once for all, and nothing after the last round


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected \[b, 3, 256, 256\]; got \[1, 3, 64, 64\]"):
        tiny()(torch.rand(1, 3, 64, 64))
    with pytest.raises(CheckpointError, match="does not take photos; expected 3 channels; got 6 channels"):
        PSP(tiny(inputs=6), torch.zeros(8, 128))
    with pytest.raises(CheckpointError, match="no ReStyle's"):
        ReStyle(tiny(), Drawer(), torch.zeros(8, 128))
    with pytest.raises(InputError, match=r"not of this encoder; expected latents of \[18, 128\]; got \[8, 128\]"):
        ReStyle(tiny(inputs=6), Drawer(), torch.zeros(18, 128))
    with pytest.raises(CheckpointError, match=r"input_layer\.0\.weight"):
        StyleEncoder.from_state_dict({}, progressive=True)
