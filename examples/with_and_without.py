"""The same edit twice: in plain torch, and as a schedule of maskedit. Both end at the same picture."""

import torch
import torch.nn.functional as F
from torch import Tensor
from toy_models import toy_models, toy_photos

import maskedit as me

FIT, EDIT, SETTLE, DETAIL = 60, 40, 20, 20
models, photo = toy_models(), toy_photos()


def without_maskedit() -> Tensor:
    generator, parser, classifier = models.generator, models.parser, models.classifier
    latent = models.mean_latent[None].clone().requires_grad_()
    noises = [torch.zeros(1, 1, *shape) for shape in generator.noise_shapes]
    with torch.no_grad():
        skin, hair = parser.parse(photo, ["skin", "hair"]).split(1, dim=1)
    preserve, label = skin, torch.tensor(0.95)

    optimizer = torch.optim.Adam([latent], lr=0.05)
    for i in range(FIT + EDIT + SETTLE):
        if i == FIT:
            optimizer = torch.optim.Adam([latent], lr=0.05)
        image = generator.synthesize(latent, noises)
        loss = 2 * (preserve * (image - photo).square()).mean()
        if i >= FIT:
            p = classifier.classify(image, ["blond_hair"]).sigmoid()
            divergence = label * (label / p).log() + (1 - label) * ((1 - label) / (1 - p)).log()
            seen = parser.parse(image, ["hair"])
            loss = loss + 0.005 * divergence.mean() + 0.5 * (seen - hair).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if FIT <= i < FIT + EDIT:  # where hair has grown, skin need not be kept
            preserve = (skin - seen.detach()).clamp(0, 1)

    latent.requires_grad_(False)
    for noise in noises:
        noise.requires_grad_()
    optimizer = torch.optim.Adam(noises, lr=0.1)
    for _ in range(DETAIL):
        image = generator.synthesize(latent, noises)
        loss = 2 * (preserve * (image - photo).square()).mean()
        for level in noises:
            while True:
                for dim in (2, 3):
                    loss = loss + (level * level.roll(1, dims=dim)).mean().square()
                if level.shape[-1] <= 8:
                    break
                level = F.avg_pool2d(level, 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for noise in noises:
                noise.copy_((noise - noise.mean()) / noise.std())

    with torch.no_grad():
        blend = (skin + hair).clamp(0, 1)
        return blend * generator.synthesize(latent, noises) + (1 - blend) * photo


def with_maskedit() -> me.Result:
    keep = 2.0 * me.preserve("skin")
    edit = keep + 0.005 * me.attribute("blond_hair") + 0.5 * me.shape("hair")
    schedule = me.Schedule(
        me.Stage("fit", FIT, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", EDIT, edit, vary=me.latent(lr=0.05), after_step=[me.GrowTarget()]),
        me.Stage("settle", SETTLE, edit, vary=me.unchanged()),
        me.Stage("detail", DETAIL, keep + me.white_noise(), vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()]),
    )
    return me.run(me.Problem(models, photo, "blond_hair"), schedule)


plain, result = without_maskedit(), with_maskedit().image
difference = (plain - result).abs().max().item()
changed = (photo - result).abs().max().item()
print(f"the edit changes pixels by up to {changed:.2f}; the two ways differ by {difference:.1e}")
