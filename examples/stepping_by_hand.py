"""The loop is a generator: look at each step, break off by a rule of your own, keep what was reached."""

from toy_models import toy_models, toy_photos

import maskedit as me

problem = me.Problem(toy_models(), toy_photos(), "blond_hair")
keep = 2.0 * me.preserve("skin")
schedule = me.Schedule(
    me.Stage("fit", 60, keep, vary=me.latent(lr=0.05)),
    me.Stage("edit", 200, keep + 0.005 * me.attribute("blond_hair"), vary=me.latent(lr=0.01)),
)

frames = []
for step in me.steps(problem, schedule):
    if step.index % 20 == 0:
        frames.append(step.image)
        shown = ", ".join(f"{name} {value.item():.2g}" for name, value in step.weighted.items())
        print(f"{step.stage} {step.step + 1} of {step.steps}: {shown}")
    if step.stage == "edit" and step.raw["blond_hair"].item() < 0.2:
        break

result = step.result()  # blended, as at the end of a run
print(result.status)
