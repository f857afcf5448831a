"""Stopping: each image by itself, by a bound or when it no longer gains."""

import torch

import maskedit as me
from tests.solve.runs import problem


def test_threshold_stops_each_image_by_itself():
    schedule = me.Schedule(
        me.Stage("fit", 50, me.preserve("skin"), vary=me.latent(lr=0.05), stop=me.Threshold(2e-4, of="preserve"))
    )
    result = me.run(problem(3), schedule)
    raw = result.history.raw["fit.preserve"]
    for i in range(3):
        values = raw[i][~raw[i].isnan()]
        assert values[-1] <= 2e-4
        assert (values[:-1] > 2e-4).all()
        assert f"stopped after {len(values)} of 50 steps (preserve <= 0.0002)" in result.status[i]


def test_plateau_waits_for_its_patience():
    flat = me.Schedule(
        me.Stage("fit", 50, me.preserve("skin"), vary=me.latent(lr=0.0), stop=me.Plateau(patience=7, tolerance=0.01))
    )
    assert me.run(problem(), flat).history.total.shape[1] == 8
    steady = {"total": torch.linspace(1, 0.1, 20)[None]}
    assert not me.Plateau(patience=5, tolerance=0.01)(steady).any()
    assert me.Plateau(patience=5, tolerance=0.99)(steady).all()
