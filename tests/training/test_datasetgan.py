"""The paper's protocol for the parser, part by part on tiny networks, and once as a whole."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from maskedit.attributes import REGIONS
from maskedit.errors import InputError
from maskedit.metrics import intersection_over_union
from maskedit.models.networks.portraits import PortraitParser
from maskedit.models.networks.stylegan2 import StyleGAN2
from maskedit.protocols import LatentDistribution
from maskedit.training import datasetgan
from maskedit.training.datasetgan import DatasetGANHyperparameters, DeepLabParser, parser_training, read_samples
from maskedit.training.loop import step_rng, train
from maskedit.training.options import Hyperparameters
from maskedit.training.pixel_ensemble import (
    Features,
    PixelEnsemble,
    bilinear,
    certain,
    enlarged,
    shrunk,
    train_ensemble,
    vote,
)
from maskedit.training.synthetic import Source, Synthetic

TINY = DatasetGANHyperparameters(
    synthetic=24, parser="portrait", size=32,
    batch=6, epochs=10, rate=5e-3, average=0.9, degrees=5.0, shift=0.02, zoom=0.05,
)  # fmt: skip


@pytest.fixture
def generator() -> StyleGAN2:
    torch.manual_seed(0)
    return StyleGAN2(resolution=16, latent_dim=8, channels=(8, 8, 6), mapping_layers=0).freeze()


@pytest.fixture
def source(generator: StyleGAN2) -> Source:
    layers, dim = generator.latent_shape
    directions = torch.linalg.qr(torch.randn(layers * dim, 4, generator=step_rng(0, 0)))[0].T
    latents = LatentDistribution(torch.zeros(layers, dim), directions.contiguous(), torch.full((4,), 1.0))
    return Source(Features(generator), latents, 1.0)


def trained(synthetic: Synthetic, hyper: DatasetGANHyperparameters, out: Path) -> DeepLabParser | PortraitParser:
    cpu = torch.device("cpu")
    net = train(parser_training(synthetic, hyper, cpu), hyper, out=out, every=20, device=cpu).eval()
    assert isinstance(net, DeepLabParser | PortraitParser)
    return net


def by_brightness(images: torch.Tensor) -> torch.Tensor:
    """Regions that a picture's pixels give away: background, hair or skin, by how bright they are."""
    grey = images.mean(1)
    low, high = grey.flatten(1).quantile(torch.tensor([0.33, 0.66]), dim=1)[:, :, None, None]
    kinds = torch.tensor([REGIONS.index(name) for name in ("background", "hair", "skin")])
    return kinds[(grey > low).long() + (grey > high).long()].byte()


def test_features_are_those_of_every_layer_and_leave_the_generator_alone(generator: StyleGAN2) -> None:
    latent = torch.randn(2, *generator.latent_shape, generator=step_rng(0, 1))
    image, maps = Features(generator)(latent)
    assert [tuple(m.shape) for m in maps] == [
        (2, 8, 4, 4), (2, 8, 8, 8), (2, 8, 8, 8), (2, 6, 16, 16), (2, 6, 16, 16),
    ]  # fmt: skip
    assert torch.equal(image, generator.synthesize(latent).clamp(0, 1))
    assert not any(conv._forward_hooks for conv in generator.convs)


def test_single_pixels_are_those_of_the_enlarged_maps() -> None:
    maps = torch.randn(3, 5, 4, 4, generator=step_rng(0, 2))
    wide = enlarged(maps, 16)
    picture, y, x = (torch.randint(n, (50,), generator=step_rng(0, 3)) for n in (3, 16, 16))
    torch.testing.assert_close(bilinear(maps, picture, y, x, 16), wide[picture, :, y, x])


def test_maps_are_the_pixels_classifier_at_every_pixel() -> None:
    """The first layer, applied before enlarging, gives what it gives after."""
    torch.manual_seed(0)
    ensemble = PixelEnsemble(inputs=(4, 3), networks=2, hidden=8, classes=5)
    for norm in (ensemble.first_norm, ensemble.second_norm):
        torch.nn.init.uniform_(norm.running_mean, -1, 1)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    ensemble.eval()
    coarse, fine = torch.randn(2, 4, 4, 4), torch.randn(2, 3, 8, 8)
    stacked = torch.cat([enlarged(coarse, 8), fine], 1).permute(0, 2, 3, 1).flatten(0, 2)
    expected = ensemble(stacked.expand(2, -1, -1))  # [networks, b * h * w, classes]
    found = ensemble.maps([coarse, fine], 8)
    torch.testing.assert_close(found.permute(1, 0, 3, 4, 2).flatten(1, 3), expected, atol=1e-5, rtol=1e-4)


def test_networks_of_an_ensemble_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    ensemble = PixelEnsemble(inputs=(4,), networks=3, hidden=8, classes=5).eval()
    pixels = torch.randn(3, 7, 4)
    changed = pixels.clone()
    changed[1] += 1
    before, after = ensemble(pixels), ensemble(changed)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


def test_the_majority_wins_and_disagreement_is_jensen_shannons() -> None:
    """One pixel: two networks sure of class 1, one of class 0; the divergence of 2 : 1 is known."""
    logits = torch.full((1, 3, 4, 1, 1), -30.0)
    logits[0, 0, 1] = logits[0, 1, 1] = logits[0, 2, 0] = 30.0
    regions, uncertainty = vote(logits)
    assert regions.item() == 1
    assert uncertainty.item() == pytest.approx(-(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3), abs=1e-5)


def test_the_majority_wins_over_one_that_is_louder() -> None:
    logits = torch.zeros(1, 3, 2, 1, 1)
    logits[0, :, :, 0, 0] = torch.tensor([[0.0, 0.1], [0.0, 0.1], [20.0, 0.0]])
    assert vote(logits)[0].item() == 1


def test_networks_that_agree_are_certain_however_unsure_each_is() -> None:
    logits = torch.randn(2, 1, 4, 3, 3, generator=step_rng(0, 4)).expand(-1, 5, -1, -1, -1)
    assert vote(logits)[1].abs().max() < 1e-6


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.floats(0, 0.9))
@settings(max_examples=50, deadline=None)
def test_the_most_uncertain_share_is_dropped(values: list[float], dropped: float) -> None:
    uncertainty = torch.tensor(values)
    kept = certain(uncertainty, dropped)
    assert len(kept) == len(values) - round(dropped * len(values))
    assert kept.tolist() == sorted(set(kept.tolist()))
    left_out = [i for i in range(len(values)) if i not in kept.tolist()]
    if left_out and len(kept):
        assert uncertainty[left_out].min() >= uncertainty[kept].max()


def test_shrunk_maps_have_the_region_of_most_of_the_area() -> None:
    regions = torch.tensor([[[4, 4, 1, 1], [4, 6, 1, 1], [0, 0, 2, 2], [0, 0, 2, 3]]], dtype=torch.uint8)
    assert shrunk(regions, 2).tolist() == [[[4, 1], [0, 2]]]


def test_a_synthetic_set_trains_a_parser_better_than_chance(source: Source, tmp_path: Path) -> None:
    """Labels that the pixels give away, through ensemble, synthetic set and parser."""
    latents = torch.randn(32, 4, generator=step_rng(0, 5)) @ source.latents.components
    latents = latents.unflatten(1, source.latents.mean.shape)
    wanted = by_brightness(source.features(latents)[0])
    ensemble = train_ensemble(
        source.features,
        latents,
        wanted,
        Hyperparameters(batch=64),
        networks=3,
        hidden=16,
        steps=120,
        rate=1e-2,
        out=tmp_path / "ensemble",
        every=30,
    )
    synthetic = Synthetic(tmp_path / "synthetic", count=TINY.synthetic, size=16)
    synthetic.make(source, ensemble, 0)
    images, regions = synthetic.pair(torch.arange(TINY.synthetic))
    right = (regions == by_brightness(images)).float().mean()
    assert right > 0.6  # chance is a third

    net = trained(synthetic, TINY, tmp_path / "parser")
    unseen = source.draw(8, step_rng(1, 0))[0]
    with torch.no_grad():
        logits = net.logits(unseen)
    found = F.interpolate(logits, size=(16, 16), mode="area").argmax(1).byte()
    kinds = [REGIONS.index(name) for name in ("background", "hair", "skin")]
    assert intersection_over_union(found, by_brightness(unseen), len(REGIONS))[kinds].mean() > 0.35  # chance is a fifth


def test_a_synthetic_set_that_was_stopped_is_that_of_one_go(source: Source, tmp_path: Path) -> None:
    torch.manual_seed(0)
    ensemble = PixelEnsemble(inputs=source.features.channels, networks=2, hidden=8, classes=len(REGIONS)).eval()

    class StoppedError(Exception):
        pass

    class Stopping(Source):
        def draw(self, count: int, rng: torch.Generator) -> object:
            if rng.initial_seed() == step_rng(0, -1 - 8).initial_seed():
                raise StoppedError
            return super().draw(count, rng)

    whole = Synthetic(tmp_path / "whole", count=20, size=16)
    whole.make(source, ensemble, 0)
    part = Synthetic(tmp_path / "part", count=20, size=16)
    with pytest.raises(StoppedError):
        part.make(Stopping(source.features, source.latents, source.spread), ensemble, 0)
    assert part.made == 0
    again = Synthetic(tmp_path / "part", count=20, size=16)
    again.make(source, ensemble, 0)
    assert again.made == 20
    for name in ("images", "regions", "uncertainty"):
        assert np.array_equal(getattr(whole, name), getattr(again, name))


def test_the_whole_command_and_its_going_on(
    drawn_faces: Path, drawn_labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the bundled generator, from photos with measured regions; a second call changes nothing."""
    numbers = {"labelled": 2, "fit-steps": 1, "networks": 2, "hidden": 8, "pixel-batch": 8, "pixel-steps": 4}
    numbers |= {"synthetic": 6, "size": 32, "batch": 2, "epochs": 2}
    arguments = ["--preset", "datasetgan-small", "--faces", str(drawn_faces), "--labels", str(drawn_labels)]
    arguments += ["--every", "2", *(str(x) for name, value in numbers.items() for x in (f"--{name}", value))]
    datasetgan.main([*arguments, "--out", str(tmp_path / "run")])
    first = load_file(tmp_path / "run" / "parser" / "checkpoint.safetensors")
    lines = (tmp_path / "run" / "parser" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4, 5]  # two epochs of five in pairs
    assert (tmp_path / "run" / "sheet.png").exists()
    latents, regions = read_samples(tmp_path / "run" / "samples.npz")
    assert (len(latents), tuple(regions.shape)) == (2, (2, 128, 128))

    datasetgan.main([*arguments, "--out", str(tmp_path / "run")])
    again = load_file(tmp_path / "run" / "parser" / "checkpoint.safetensors")
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    samples = str(tmp_path / "run" / "samples.npz")
    datasetgan.main([*arguments, "--out", str(tmp_path / "other"), "--samples", samples])
    other = load_file(tmp_path / "other" / "parser" / "checkpoint.safetensors")
    assert all(torch.equal(value, other[key]) for key, value in first.items())


def test_samples_that_are_none_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no labelled pictures"):
        read_samples(tmp_path / "none.npz")
    np.savez(tmp_path / "half.npz", latents=np.zeros((1, 2, 3), np.float32))
    with pytest.raises(InputError, match="half.npz lacks regions"):
        read_samples(tmp_path / "half.npz")


def test_no_such_parser_gets_a_sentence(source: Source, tmp_path: Path) -> None:
    synthetic = Synthetic(tmp_path / "synthetic", count=4, size=16)
    with pytest.raises(InputError, match="no such parser; expected deeplab or portrait; got unet"):
        parser_training(synthetic, DatasetGANHyperparameters(parser="unet"), torch.device("cpu"))


def test_deeplab_learns_too(source: Source, tmp_path: Path) -> None:
    synthetic = Synthetic(tmp_path / "synthetic", count=4, size=16)
    hyper = DatasetGANHyperparameters(narrower=16, size=32, batch=2, epochs=1, dropped=0.0)
    net = trained(synthetic, hyper, tmp_path / "parser")
    assert net.logits(torch.rand(1, 3, 16, 16)).shape == (1, len(REGIONS), 32, 32)
