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


def test_a_start_is_a_fresh_latent_without_gradient():
    given = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    image = toys.pictures(2)
    started = me.Problem(toys.models(), image, "smiling", start=given).start_latent()
    assert torch.equal(started, given)
    assert not started.requires_grad
    assert started.data_ptr() != given.data_ptr()
    trio = toys.models()
    encoded = me.Problem(trio, image, "smiling", start="encoder").start_latent()
    assert torch.equal(encoded, trio.encoder.encode(image))
    mean = me.Problem(trio, image, "smiling").start_latent()
    assert torch.equal(mean, trio.mean_latent.expand(2, 3, 4))
    mean.zero_()
    assert (trio.mean_latent != 0).any()


def test_a_gradient_of_the_encoder_does_not_go_on():
    class Learning(toys.ToyEncoder):
        def encode(self, image):
            return super().encode(image) * torch.ones((), dtype=image.dtype, requires_grad=True)

    this = me.Problem(toys.models(encoder=Learning()), toys.pictures(1), "smiling", start="encoder")
    assert not this.start_latent().requires_grad


def test_noise_starts_at_nothing():
    noises = me.Problem(toys.models(), toys.pictures(2), "smiling").start_noises()
    assert [tuple(noise.shape) for noise in noises] == [(2, 1, 4, 4), (2, 1, 8, 8), (2, 1, 16, 16)]
    assert all((noise == 0).all() and noise.dtype == torch.float64 for noise in noises)


def test_the_fingerprint_is_of_each_part_of_the_distribution():
    mean, basis = torch.zeros(3, 4), torch.eye(12)[:2]
    tables = [
        None,
        me.LatentDistribution(mean, basis, torch.ones(2)),
        me.LatentDistribution(mean + 1, basis, torch.ones(2)),
        me.LatentDistribution(mean, basis.flip(0), torch.ones(2)),
        me.LatentDistribution(mean, basis, torch.full((2,), 2.0)),
        me.LatentDistribution(mean, basis, torch.ones(2), {"smiling": mean}),
        me.LatentDistribution(mean, basis, torch.ones(2), {"young": mean}),
        me.LatentDistribution(mean, basis, torch.ones(2), {"young": mean + 1}),
    ]
    image = toys.pictures(1)
    prints = {me.Problem(toys.models(latents=table), image, "smiling").fingerprint for table in tables}
    assert len(prints) == len(tables)


def test_one_deviation_that_is_nothing_is_refused():
    spoiled = me.LatentDistribution(torch.zeros(3, 4), torch.eye(12)[:2], torch.tensor([1.0, 0.0]))
    with pytest.raises(me.InputError, match="positive deviations"):
        me.Problem(toys.models(latents=spoiled), toys.pictures(1), "smiling")


def test_one_pixel_that_is_not_finite_is_refused():
    image = toys.pictures(2)
    image[1, 2, 3, 4] = float("inf")
    with pytest.raises(me.InputError, match="not finite"):
        me.Problem(toys.models(), image, "smiling")


@pytest.mark.parametrize(("value", "fine"), [(-9e-4, True), (-1.1e-3, False), (1 + 9e-4, True), (1 + 1.1e-3, False)])
def test_values_may_lie_a_thousandth_outside(value, fine):
    image = toys.pictures(1)
    image[0, 0, 0, 0] = value
    if fine:
        me.Problem(toys.models(), image, "smiling")
    else:
        with pytest.raises(me.InputError, match="out of range"):
            me.Problem(toys.models(), image, "smiling")


def test_one_number_of_a_start_that_is_not_finite_is_refused():
    start = torch.zeros(1, 3, 4, dtype=torch.float64)
    start[0, 2, 3] = float("nan")
    with pytest.raises(me.InputError, match="not finite"):
        me.Problem(toys.models(), toys.pictures(1), "smiling", start=start)


def test_a_start_that_is_being_learned_has_a_fingerprint():
    start = torch.zeros(1, 3, 4, dtype=torch.float64)
    this = me.Problem(toys.models(), toys.pictures(1), "smiling", start=start)
    learned = me.Problem(toys.models(), toys.pictures(1), "smiling", start=start.clone().requires_grad_())
    assert learned.fingerprint == this.fingerprint
