"""Other projects' loops as schedules: equal, step by step, to what their own programs did on toy models."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import maskedit as me
from examples.loops import ada_projector, barbershop, draggan, pti, styleclip
from tests.loops import toys

OWN = (-1.0, 1.0)


@pytest.fixture(scope="module")
def recorded(fixtures: Path):
    def load(name: str) -> Mapping[str, Tensor]:
        with np.load(fixtures / "loops" / f"{name}.npz") as file:
            return {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}

    return load


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-4) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).norm() <= tolerance * theirs.norm()


def problem(image: Tensor | None, start: Tensor, noises: list[Tensor] | None = None, **changes: object) -> me.Problem:
    generator = toys.generator()
    return me.Problem(
        me.Models(generator=generator),
        image,
        start=start,
        noises=generator.constant_noises(len(start)) if noises is None else noises,
        range=OWN,
        **changes,
    )


def go(this: me.Problem, schedule: me.Schedule) -> tuple[me.Result, list[me.Step]]:
    steps = list(me.steps(this, schedule))
    return steps[-1].result(), steps


class Drawn:
    """Noise that was drawn beforehand, in place of our own."""

    def __init__(self, fading: ada_projector.Fading, draws: Tensor) -> None:
        self.fading, self.draws = fading, draws

    def __call__(self, step: int) -> float:
        return self.fading(step)

    def draw(self, step: int, like: Tensor, generators: object) -> Tensor:
        return (self.draws[step] * self.fading(step)).expand_as(like)


def test_ada_projector(recorded):
    r = recorded("ada_projector")
    network = toys.network(toys.Features)

    def features(picture: Tensor) -> Tensor:
        return torch.cat([(f / np.sqrt(f[0, 0].numel())).flatten(1) for f in network(picture)], dim=1)

    deviation = float(r["w_std"])
    shake = Drawn(ada_projector.Fading(deviation, 40), r["w_draws"])
    schedule = ada_projector.schedule(features, deviation, steps=40, shake=shake)
    norms: list[Tensor] = []
    stage = schedule.stages[0]

    def watch(moment: me.Moment) -> None:
        norms.append(torch.stack([noise.norm() for noise in moment.noises]))

    schedule = me.Schedule(
        me.Stage("project", 40, stage.terms, vary=stage.vary, after_step=[watch, *stage.after_step]), blend=None
    )
    noises = [r[f"noise_draw_{i}"][None, None] for i in range(7)]
    this = problem(r["target"][None] / 127.5 - 1, r["w_mean"][None], noises)
    result, steps = go(this, schedule)
    close(torch.cat([s.latent[:, 0] for s in steps]), r["w"])
    close(result.history.total[0], r["total"])
    close(result.history.raw["project.distance"][0], r["distance"])
    close(torch.tensor([stage.variables[0].steering.lr(i) for i in range(40)]), r["rate"])
    close(torch.stack(norms), r["noise_norms"])
    for i in range(7):
        close(torch.cat([s.noises[i][0] for s in steps[4::5]]), r[f"noise_{i}"])
    close(result.image, r["image"])


def test_pti(recorded):
    r = recorded("pti")
    schedule = pti.schedule(toys.lpips(toys.network(toys.Features)), 30, 5e-3, float(r["threshold"]))
    this = problem(r["images"], r["pivots"])
    before = {name: p.clone() for name, p in this.models.generator.named_parameters()}
    result, _ = go(this, schedule)
    for name, ours in (("total", result.history.total), ("l2", result.history.raw["tune.l2"])):
        theirs = r[name][:, : ours.shape[1]]
        assert torch.equal(ours.isnan(), theirs.isnan())
        close(ours.nan_to_num(), theirs.nan_to_num())
    assert [int(n) for n in r["updates"]] == [
        int(s.split("after ")[1].split()[0]) if "after" in s else 30 for s in result.status
    ]
    close(result.image, r["image"])
    checked = [key for key in r if key.startswith("weight_")]
    assert checked
    for key in checked:
        _, picture, name = key.split("_", 2)
        close(result.moved["weights"][name][int(picture)], r[key])
    assert all(torch.equal(p, before[name]) for name, p in this.models.generator.named_parameters())


@pytest.mark.parametrize("space", ["latents", "styles"])
def test_styleclip(recorded, space):
    r = recorded("styleclip" if space == "latents" else "styleclip_styles")
    clip, face = toys.network(toys.Clip), toys.network(toys.Face)
    moving = None if space == "latents" else [i for i, name in enumerate(toys.STYLES) if name[0] == "l"]
    start = r["start"] if space == "latents" else r["w"]
    inputs = {} if space == "latents" else {f"styles.{i}": row[None] for i, row in enumerate(r["start"])}
    this = problem(None, start[None], inputs=inputs)
    result, steps = go(this, styleclip.schedule(clip, face, r["text"], steps=30, styles=moving))
    ours = [s.latent if space == "latents" else styleclip.styles_of(s.given).unflatten(1, (11, 16)) for s in steps]
    close(torch.cat(ours), r[space])
    for name in ("clip", "near"):
        close(result.history.raw[f"edit.{name}"][0], r[name])
    torch.testing.assert_close(result.history.raw["edit.identity"][0], r["identity"], rtol=1e-4, atol=1e-6)
    close(result.history.total[0], r["total"])
    close(steps[0].image, r["image_start"])
    close(steps[-1].image, r["image"])


def test_barbershop(recorded):
    r = recorded("barbershop")
    known = toys.lpips(toys.network(toys.Features)), r["p_mean"], r["p_components"], r["p_deviations"]
    first, steps = go(problem(r["photo"], r["latent_avg"][None]), barbershop.in_w_plus(*known, steps=25, rate=0.02))
    close(torch.cat([s.latent for s in steps]), r["W_latents"])
    for name in ("l2", "lpips", "p_norm"):
        close(first.history.raw[f"embed.{name}"][0], r[f"W_{name}"])
    close(first.history.total[0], r["W_total"])
    close(steps[-1].image, r["W_image"])

    this = problem(r["photo"], steps[-2].latent)
    second, steps = go(this, barbershop.in_fs(*known, at=8, rows=range(3, 8), steps=25, rate=0.02))
    close(torch.cat([s.latent[:, 3:] for s in steps]), r["FS_latents"])
    close(torch.cat([s.given["features.8"] for s in steps[4::5]]), r["FS_F"])
    close(second.moved["features"], steps[-1].given["features.8"])
    assert torch.equal(second.latent[:, :3], this.start_latent()[:, :3])
    for name in ("l2", "lpips", "p_norm"):
        close(second.history.raw[f"embed.{name}"][0], r[f"FS_{name}"])
    close(steps[-1].image, r["FS_image"])


def test_barbershop_blend(recorded):
    r = recorded("barbershop_blend")
    first, second = r["latent_1"][None], r["latent_3"][None]
    targets = [(r[f"picture_{i}"][None], r[f"mask_{part}"][None, None]) for i, part in ((1, "face"), (3, "hair"))]
    schedule = barbershop.blend(toys.lpips(toys.network(toys.Features)), first, second, *targets, steps=25, rate=0.06)
    this = problem(None, first, inputs={"features.8": r["F"][None]})
    result, steps = go(this, schedule)
    close(torch.cat([s.given["mix"] for s in steps]), r["coefficients"])
    close(result.history.total[0], r["total"])
    close(result.history.raw["blend.face"][0], r["face"])
    close(steps[-2].latent[0], r["latent_mixed"])
    assert ((result.moved["mix"] >= 0) & (result.moved["mix"] <= 1)).all()
    with torch.no_grad():
        maps = this.start_noises()
        drawn = this.models.generator.synthesize(steps[-2].latent, maps, {"features.8": r["F_last"][None]})
    close(drawn, r["image"])


def test_draggan(recorded):
    r = recorded("draggan")
    points = draggan.Points(r["points_start"].long(), r["targets"].float(), r["mask"].float(), at=16)
    schedule = draggan.schedule(points, steps=40, rate=0.02, keep=1.0, hold=0.02)
    tracked: list[Tensor] = []
    steps = []
    for step in me.steps(problem(None, r["start"][None]), schedule):
        steps.append(step)
        tracked.append(step._loop.state.memory["points"][0])
    assert len(steps) == 21
    assert torch.equal(torch.stack(tracked[:20]).long(), r["points"][:20].long())
    close(torch.cat([s.latent for s in steps[:20]]), r["w"])
    close(steps[-1].result().history.total[0, :20], r["total"])
    close(steps[-1].result().image, r["image"])
