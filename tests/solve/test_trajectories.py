"""The released recipe against the released program, iteration by iteration, on its toy models.

The reference values are in tests/data; formula.py there fills the toy models' weights.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maskedit as me
from maskedit.models.files.generators import generator_from_state
from maskedit.models.networks.stylegan2 import StyleGAN2
from tests.data import formula

DATA = Path(__file__).parents[1] / "data"
REGIONS = {"smiling": "mouth", "big_nose": "nose", "black_hair": "hair"}


class LinearClassifier(nn.Module):
    attributes = tuple(json.loads((DATA / "attributes.json").read_text()))

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(192, 40))

    def classify(self, image: Tensor, attributes: Sequence[str]) -> Tensor:
        return self.net(image - 0.5)[:, [self.attributes.index(name) for name in attributes]]


class OneLayerParser(nn.Module):
    regions = me.REGIONS

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 9, 3, padding=1)

    def parse(self, image: Tensor, regions: Sequence[str]) -> Tensor:
        scores = 3 * self.conv(F.interpolate(image, size=32, mode="area") * 2 - 1)
        return scores.softmax(1)[:, [self.regions.index(name) for name in regions]]


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    keys = json.loads((DATA / "stylegan2_64.keys.json").read_text())
    state = {key: torch.zeros(shape) for key, shape in keys.items()}
    blur = torch.tensor([1.0, 3.0, 3.0, 1.0])
    for key, value in state.items():  # constants, which the formula leaves alone
        if key.endswith("kernel"):
            value.copy_(4 * blur.outer(blur) / 64)
    return generator_from_state({key: formula.fill(key, value, True) for key, value in state.items()}).freeze()


def relative(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", REGIONS)
def test_the_released_recipe_is_the_released_program(generator, name):
    with np.load(DATA / f"trajectory_{name}.npz") as file:
        theirs = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files if key != "meta"}
        meta = json.loads(str(file["meta"]))
    assert meta["attribute"] == name
    assert meta["steps"] == {"latent": 60, "noise": 31, "constraints_from": 20, "dynamic_mask_until": 35}
    drawn = [theirs[f"random_noise_{i}"] for i in range(9)]
    schedule = me.recipes.released(
        me.Edit(
            {name: float(meta["target"])},
            smoothing=meta["smoothing"],
            size={REGIONS[name]: meta["size"]} if meta["size"] else None,
        ),
        steps=(20, 15, 25, 31),
    )
    assert schedule.stages[2].on_enter == (me.RedrawNoise(),)
    settle = replace(schedule.stages[2], on_enter=[lambda moment: me.Change(noises=drawn)])  # its draw, not ours
    stages = (*schedule.stages[:2], settle, schedule.stages[3])
    models = me.Models(
        generator=generator,
        parser=formula.fill_(OneLayerParser()).requires_grad_(False),
        classifier=formula.fill_(LinearClassifier()).requires_grad_(False),
        mean_latent=theirs["latent_mean"].repeat(10, 1),
    )
    steps = list(me.steps(me.Problem(models, theirs["image"], name), me.Schedule(*stages, blend=schedule.blend)))
    result = steps[-1].result()

    totals = torch.cat([step.total for step in steps]).double()
    torch.testing.assert_close(totals, theirs["total_loss"], rtol=1e-3, atol=0)
    latents = [step.latent for step in steps[4:60:5]]
    assert len(latents) == len(theirs["latents"]) == 12
    for ours, expected in zip(latents, theirs["latents"], strict=True):
        assert relative(ours, expected) < 1e-3
    norms = torch.stack([torch.stack([noise.norm() for noise in step.noises]) for step in steps[60:]])
    torch.testing.assert_close(norms.double(), theirs["noise_norms"], rtol=1e-3, atol=0)
    for ours, expected in (
        (result.masks["preserve"], "recon_mask"),
        (result.masks["blend"], "blend_mask"),
        (result.masks["blend"] - result.masks["target"], "original_recon_mask"),
    ):
        # Beside the relative bound, 1e-4 of the masks' range: near 0 they are differences of nearly equal numbers.
        torch.testing.assert_close(ours, theirs[expected], rtol=1e-3, atol=1e-4)
    for ours, expected in (
        (result.noises[-1], "final_noise_64"),
        (result.generated, "generated"),
        (result.image, "result"),
    ):
        assert relative(ours, theirs[expected]) < 1e-3, expected
