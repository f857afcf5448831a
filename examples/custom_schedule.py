"""A schedule of your own: a loss, an event and a ramp that maskedit does not know, two edits at once, early stops."""

import torch
from torch import Tensor, nn
from toy_models import toy_models, toy_photos

import maskedit as me


class Distance(nn.Module):
    """How far a latent has moved: any module will do that returns one value for each image."""

    def forward(self, latent: Tensor, start: Tensor) -> Tensor:
        return (latent - start).square().mean(dim=(1, 2))


def ramp(step: int) -> float:
    """Weights and learning rates may be functions of the step in their stage."""
    return min(1.0, step / 20)


def clamp_size(moment: me.Moment) -> me.Change:
    """An event looks at a moment and says what should change; here, no part may shrink or grow by over a tenth."""
    latent = moment.latent.clone()
    latent[:, :, 3] = latent[:, :, 3].clamp(-0.1, 0.1)
    return me.Change(latent=latent)


keep = 2.0 * me.preserve("skin")
near = 0.02 * me.Term("near", Distance(), reads=lambda view: (view.latent, view.start.latent))
looks = 0.01 * me.attribute(["blond_hair", "wearing_lipstick"], target=[1.0, 0.8]).named("looks")
wide = 0.3 * me.region_size("mouth", scale=1.2)

schedule = me.Schedule(
    me.Stage("fit", 100, keep + near, vary=me.latent(lr=0.05), stop=me.Plateau(patience=10, tolerance=0.01)),
    me.Stage(
        "edit",
        80,
        keep + ramp * looks + wide,
        vary=me.latent(lr=0.02, layers=[0, 2]),  # hair and mouth; the row of the skin stays
        after_step=[me.GrowTarget(), clamp_size],
        stop=me.Threshold("looks", 0.1),
    ),
    me.Stage("settle", 20, keep + looks + wide, vary=me.unchanged(), keep_best=True),
    blend=me.Paste(softness=1),
)
print(schedule)

models = toy_models()
problem = me.Problem(models, toy_photos(2), ["blond_hair", "wearing_lipstick"])
result = me.run(problem, schedule)
with torch.no_grad():
    before, after = (models.classifier.classify(x, models.classifier.attributes) for x in (problem.image, result.image))
print(result.status)
print("blond, lipstick:", before.sigmoid().tolist(), "->", after.sigmoid().tolist())
