"""DragGAN: what is under each point moves towards its target, step by step, and the points are found again."""

import torch
import torch.nn.functional as F

import maskedit as me

RADIUS, TRACKED = 3, 3


class Points:
    """Points ``[n, 2]`` of one picture, as rows and columns, where they are to go, and what must stay.

    Args:
        start: where they are.
        targets: where they are to go.
        mask: 1 where nothing may change ``[h, w]``.
        at: the resolution of the features that are followed.
    """

    def __init__(self, start, targets, mask, at=256):
        self.start, self.targets, self.mask, self.name = start, targets, mask, f"features.{at}"

    def seen(self, view):
        """The features at the picture's size."""
        return F.interpolate(view.extras[self.name], view.picture.shape[-2:], mode="bilinear", align_corners=False)

    def begin(self, moment):
        """On entering: what is under the points, and everywhere."""
        f = self.seen(moment.view)
        under = torch.stack([f[:, :, r, c] for r, c in self.start.tolist()], dim=1)
        points = self.start.expand(len(f), -1, -1).to(f)
        return me.Change(memory={"points": points, "under": under, "before": f})

    def follow(self, moment):
        """After a step: where its picture's points were."""
        return me.Change(memory={"points": self.tracked(moment.view)})

    def tracked(self, view):
        """Each point where, nearby, the features are most like those that were under it."""
        f, points, under = self.seen(view).detach(), view.memory["points"], view.memory["under"]
        found = points.clone()
        for b in range(len(f)):
            for j, (row, column) in enumerate(points[b].long().tolist()):
                top, left = max(row - TRACKED, 0), max(column - TRACKED, 0)
                window = f[b, :, top : row + TRACKED + 1, left : column + TRACKED + 1]
                distance = (window - under[b, j, :, None, None]).norm(dim=0)
                best = int(distance.flatten().argmin())
                found[b, j] = points.new_tensor([top + best // distance.shape[1], left + best % distance.shape[1]])
        return found

    def motion(self, view):
        """What lies around each point, and what lies one step on: the first shall come to be the second."""
        f, total = self.seen(view), 0
        size = f.shape[-1]
        rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        stretched = torch.stack([rows, columns], dim=-1) * size / (size - 1)
        for j in range(len(self.targets)):
            point = self.tracked(view)[0, j]
            way = self.targets[j] - point
            if way.norm() <= 1:
                continue
            near = (stretched - point).norm(dim=-1) < RADIUS
            place = torch.stack([rows[near], columns[near]], dim=-1).to(f)
            on = place + way / (way.norm() + 1e-7)
            grid = (on.flip(-1) / (size - 1) * 2 - 1)[None, None]
            there = F.grid_sample(f, grid, align_corners=True)[0, :, 0]
            total = total + (f[0, :, near].detach() - there).abs().mean()
        return (total if isinstance(total, torch.Tensor) else 0 * f.sum())[None]

    def farthest(self, view):
        """How far the farthest point is from its target."""
        return (self.tracked(view) - self.targets).norm(dim=-1).amax(dim=1)


def value(x):
    return x


def kept(f, before, mask):
    return (f * mask - before * mask).abs().flatten(1).mean(dim=1)


def near(latent, start):
    return (latent - start).abs().flatten(1).mean(dim=1)


def schedule(points, steps=200, rate=2e-3, layers=range(6), keep=20.0, hold=0.1):
    """``points`` are of a single picture; ``layers`` are the rows of W+ that move."""
    asks = {"extras": [points.name]}
    terms = (
        me.Term("motion", value, reads=points.motion, **asks)
        + keep * me.Term("kept", kept, reads=lambda v: (points.seen(v), v.memory["before"], points.mask), **asks)
        + hold * me.Term("near", near, reads=lambda v: (v.latent, v.start.latent))
        + 0.0 * me.Term("farthest", value, reads=points.farthest, **asks)
    )
    stage = me.Stage(
        "drag",
        steps,
        terms,
        vary=me.latent(lr=rate, layers=layers),
        on_enter=[points.begin],
        after_step=[points.follow],
        stop=me.Threshold("farthest", 2.0),
    )
    return me.Schedule(stage, blend=None)
