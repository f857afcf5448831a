"""Problems: checked when they are made, and known by a fingerprint."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import maskedit as me
from tests import toys


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": torch.rand(3, 16, 16)}, r"x\[None\]"),
        ({"image": torch.rand(2, 3, 8, 8)}, r"\[b, 3, 16, 16\].*[Aa]lign"),
        ({"image": torch.rand(0, 3, 16, 16)}, "wrong shape"),
        ({"image": torch.rand(2, 1, 16, 16)}, "wrong shape"),
        ({"image": torch.randint(255, (2, 3, 16, 16))}, "/ 255"),
        ({"image": torch.rand(2, 3, 16, 16) * 255}, "x / 255"),
        ({"image": torch.rand(2, 3, 16, 16) * 2 - 1}, r"\(x \+ 1\) / 2"),
        ({"image": torch.full((2, 3, 16, 16), float("nan"))}, "not finite"),
        ({"image": "face.png"}, "not a picture.*str"),
        ({"edit": 3}, "no edit.*int"),
        ({"edit": "smirking"}, "no attribute 'smirking'.*smiling"),
        ({"edit": me.Edit(regions=["hat"])}, "no region 'hat'"),
        ({"start": torch.zeros(3, 4)}, r"w\[None\]"),
        ({"start": torch.zeros(3, 3, 4)}, r"\[2, 3, 4\]"),
        ({"start": torch.full((2, 3, 4), float("inf"))}, "not finite"),
        ({"start": "median"}, "'mean', 'encoder'"),
        ({"start": "encoder", "models": lambda: toys.models(encoder=None)}, "needs an encoder"),
        ({"models": lambda: toys.models(mean_latent=None)}, "mean latent.*None"),
        ({"models": lambda: toys.models(mean_latent=torch.zeros(2, 4))}, r"\[3, 4\]"),
        ({"models": lambda: toys.models(generator=nn.Identity())}, "Identity is not a generator.*synthesize"),
        ({"models": lambda: toys.models(parser=lambda x: x)}, "function is not a parser.*regions"),
        ({"models": lambda: toys.models(latents=toys.flat())}, "positive deviations"),
        ({"models": lambda: toys.models(latents=toys.spread(bald=torch.zeros(2, 4)))}, "directions like the mean"),
    ],
)  # fmt: skip
def test_a_problem_is_checked_when_it_is_made(changes, says):
    arguments = {"models": toys.models, "image": toys.pictures(2), "edit": ["smiling"]} | changes
    with pytest.raises(me.InputError, match=says):
        me.Problem(arguments.pop("models")(), **arguments)


def test_a_problem_knows_its_target_regions():
    assert me.Problem(toys.models(), toys.pictures(1), ["smiling", "wearing_lipstick"]).regions == ("mouth",)
    assert me.Problem(toys.models(), toys.pictures(1), me.Edit("pale_skin", regions=["skin"])).regions == ("skin",)


def test_the_fingerprint_is_of_everything_that_decides_a_run():
    this = me.Problem(toys.models(), toys.pictures(1), "smiling")
    assert this.fingerprint == replace(this).fingerprint
    others = [
        replace(this, image=this.image.clone().mul_(0.999)),
        replace(this, start="encoder"),
        replace(this, start=this.start_latent()),
        replace(this, edit="wearing_lipstick"),
        replace(this, edit=me.Edit("smiling", regions=["skin"])),
        replace(this, models=toys.models(classifier=None), edit=me.Edit(regions=["mouth"])),
    ]
    assert len({this.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)


def test_networks_that_count_their_batches_have_a_fingerprint_too():
    class Counted(toys.ToyParser, nn.BatchNorm2d):
        def __init__(self) -> None:
            nn.BatchNorm2d.__init__(self, 3)
            toys.ToyParser.__init__(self)

    counted = Counted()
    this = me.Problem(toys.models(parser=counted), toys.pictures(1), "smiling")
    before = this.fingerprint
    counted.num_batches_tracked += 1
    assert replace(this).fingerprint != before


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.Problem(toys.models(), toys.pictures(1).bfloat16()), r"x.float\(\)"),
    ],
)
def test_nonsense_is_refused_before_any_work(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
