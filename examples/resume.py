"""Save a run in the middle of a stage, go on from the file, and end with the same bits as without a break."""

import tempfile
from pathlib import Path

import torch
from toy_models import toy_models, toy_photos

import maskedit as me

problem = me.Problem(toy_models(), toy_photos(), "blond_hair")
keep = 2.0 * me.preserve("skin")
edit = keep + 0.005 * me.attribute("blond_hair")
schedule = me.Schedule(
    me.Stage("fit", 30, keep, vary=me.latent(lr=0.05)),
    me.Stage("edit", 30, edit, vary=me.latent(lr=0.05), on_enter=[me.RedrawNoise()]),
)
unbroken = me.run(problem, schedule, seeds=[7])

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "run.safetensors"
    for step in me.steps(problem, schedule, seeds=[7]):
        if step.index == 40:
            step.save(file)
            break  # or a power cut; run(..., save=file) saves as it goes, and on Ctrl-C
    resumed = me.run(problem, schedule, resume=file)

print("the same bits:", torch.equal(unbroken.image, resumed.image))
