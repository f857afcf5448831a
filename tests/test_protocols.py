"""Models: moved together to another device or type."""

import torch

import maskedit as me


def test_models_move_together():
    models = me.load("portraits")
    there = models.to("cpu", torch.float64)
    for part in (there.generator, there.parser, there.classifier, there.encoder):
        assert next(part.parameters()).dtype == torch.float64
    assert there.mean_latent.dtype == there.latents.components.dtype == torch.float64
    assert all(direction.dtype == torch.float64 for direction in there.latents.directions.values())
    problem = me.Problem(there, torch.rand(1, 3, 64, 64, dtype=torch.float64), "smiling", start="encoder")
    stage = me.Stage("edit", 2, me.attribute("smiling"), vary=me.latent())
    assert me.run(problem, me.Schedule(stage)).latent.dtype == torch.float64
    assert models.to() == models
