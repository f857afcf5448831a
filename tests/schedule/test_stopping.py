"""Stopping: each image by itself, by a bound or when it no longer gains."""

import torch

import maskedit as me


def test_threshold_stops_each_image_by_itself(problem):
    schedule = me.Schedule(
        me.Stage("fit", 50, me.preserve("skin"), vary=me.latent(lr=0.05), stop=me.Threshold("preserve", 2e-4))
    )
    result = me.run(problem(3), schedule)
    raw = result.history.raw["fit.preserve"]
    for i in range(3):
        values = raw[i][~raw[i].isnan()]
        assert values[-1] <= 2e-4
        assert (values[:-1] > 2e-4).all()
        assert f"stopped after {len(values) - 1} of 50 steps (preserve <= 0.0002)" in result.status[i]


def test_plateau_waits_for_its_patience(problem):
    flat = me.Schedule(
        me.Stage("fit", 50, me.preserve("skin"), vary=me.latent(lr=0.0), stop=me.Plateau(patience=7, tolerance=0.01))
    )
    assert me.run(problem(), flat).history.total.shape[1] == 8
    steady = {"total": torch.linspace(1, 0.1, 20)[None]}
    assert not me.Plateau(patience=5, tolerance=0.01)(steady).any()
    assert me.Plateau(patience=5, tolerance=0.99)(steady).all()


def plateau(values: list[float], **settings: object) -> bool:
    """Whether a plateau stops an image whose totals these were."""
    return bool(me.Plateau(**settings)({"total": torch.tensor([values])}))


def test_a_plateau_compares_with_the_best_of_all_older_steps():
    """The one step just before the last three was no good: progress over it is none."""
    assert plateau([1.0, 0.2, 0.9, 0.5, 0.4, 0.3], patience=3, tolerance=0.0)
    assert not plateau([1.0, 0.2, 0.9, 0.5, 0.4, 0.1], patience=3, tolerance=0.0)
    assert not plateau([0.9, 0.5, 0.1, 0.5], patience=3, tolerance=0.0)  # the best of the last three counts


def test_a_plateau_is_a_gain_of_less_than_a_share():
    assert plateau([1.0, 0.75], patience=1, tolerance=0.25)
    assert not plateau([1.0, 0.74], patience=1, tolerance=0.25)
    assert plateau([-1.0, -1.25], patience=1, tolerance=0.25)
    assert not plateau([-1.0, -1.26], patience=1, tolerance=0.25)
    assert not plateau([1.0], patience=1, tolerance=0.25)


def test_a_plateau_waits_for_twenty_steps_and_a_thousandth_by_default():
    assert not plateau([1.0] * 20)
    assert plateau([1.0] * 21)
    assert plateau([1.0] + [0.9991] * 20)
    assert not plateau([1.0] + [0.9989] * 20)


def test_rules_look_at_what_they_are_about_and_at_each_image():
    series = {"total": torch.tensor([[3.0, 1.0], [1.0, 3.0]]), "near": torch.tensor([[1.0, 3.0], [3.0, 1.0]])}
    assert me.Threshold(of="total", value=1.0)(series).tolist() == [True, False]
    assert me.Threshold(of="near", value=1.0)(series).tolist() == [False, True]
    assert me.Threshold(of="near", value=0.99)(series).tolist() == [False, False]
    assert me.Plateau(patience=1)(series).tolist() == [False, True]
    assert me.Plateau(patience=1, of="near")(series).tolist() == [True, False]
    assert (str(me.Threshold(of="near", value=0.5)), str(me.Plateau(patience=3, tolerance=0.1, of="near"))) == (
        "near <= 0.5",
        "near gains < 0.1 in 3 steps",
    )
