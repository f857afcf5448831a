"""StyleGAN3's filtered rectifier: upsample, rectify, downsample, so that what the rectifier adds does not fold back.

Inserted zeros are never multiplied: a doubling filter of 12 taps is two of 6 on the pixels as they are, which give the
odd and the even rows (its phases), and so along the other axis. Phases are rectified as they are, and the filter that
follows is one of 6 taps on each of them, added up. Pictures are worked on tile by tile, each so small that what is
between stays in the processor's cache: nothing as large as the upsampled picture is ever there. The backward pass
upsamples a tile again, so that only what came in is kept.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

TILE = 1 << 22
"""Numbers in a tile, upsampled."""


@dataclass(frozen=True)
class Resampling:
    """What a layer does between its two filters, along both axes.

    Args:
        up: factor before the rectifier; each pixel is followed by ``up - 1`` zeros, then filtered.
        down: factor after it, a divisor of ``up``; filtered, then every ``down``-th pixel.
        before: zeros before the first pixel once the others are inserted; negative cuts.
        size: pixels that come out.
        slope: of the rectifier below zero, positive.
        gain: of the rectifier.
        clamp: bound on the rectified values; None for none.
    """

    up: int
    down: int
    before: int
    size: int
    slope: float
    gain: float
    clamp: float | None

    @property
    def step(self) -> int:
        """How many phases of the first filter lie between each other in one phase of the second."""
        return self.up // self.down

    def phases(self) -> list[list[tuple[int, int]]]:
        """For each phase of the second filter, the phases of the first in it, and where the row 0 of each is."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(self.down)]
        for i in range(self.up):
            start = self.before + 1 - self.up + i
            found[start % self.down].append((i, start // self.down))
        return found


def filtered_leaky_relu(
    x: Float[Tensor, "b c h w"],
    up_filter: Float[Tensor, " taps"],
    down_filter: Float[Tensor, "*taps"],
    how: Resampling,
) -> Float[Tensor, "b c size size"]:
    """``down(clamp(gain * leaky_relu(up(x))))`` of Karras et al. 2021, section 3.2; differentiable once.

    Args:
        x: features; channels last is fastest.
        up_filter: a multiple of ``up`` taps that sum to 1, used along both axes times ``up``.
        down_filter: a multiple of ``down`` taps that sum to 1, used along both axes, or ``[m, m]`` taps of both.
        how: factors, padding, rectifier.
    """
    up_taps = up_filter.view(-1, how.up).mT.flip(0) * how.up
    if down_filter.ndim == 1:
        down_taps = down_filter.view(-1, how.down).mT * how.gain**0.5
    else:
        count = len(down_filter) // how.down
        down_taps = down_filter.view(count, how.down, count, how.down).permute(1, 3, 0, 2) * how.gain
    return _FilteredLeakyRelu.apply(x, up_taps.to(x.dtype), down_taps.to(x.dtype), how)


class _FilteredLeakyRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up_taps: Tensor, down_taps: Tensor, how: Resampling) -> Tensor:
        ctx.save_for_backward(x, up_taps, down_taps)
        ctx.how = how
        out = _empty(x, len(x), how.size, how.size)
        reach, phases = down_taps.shape[-1] - 1, how.phases()
        for image, *tile in _tiles(out, how.down):
            wanted = [range(part.start, part.stop + reach) for part in tile]
            sources = [_sources(part, how) for part in wanted]
            x_tile = _cut(x[image], sources, up_taps.shape[1] - 1)
            bound = _bound(x_tile, up_taps, how)
            rectified = _empty(x_tile, len(x_tile), *map(len, wanted))
            total: Tensor | None = None
            for a, row_phases in enumerate(phases):
                filtered = []
                for i, start in row_phases:
                    rows, to_rows = _shares(wanted[0], sources[0], start, how.step)
                    filtered.append((_along_rows(x_tile, up_taps[i])[:, :, rows], to_rows))
                part = None
                for b, column_phases in enumerate(phases):
                    for j, start in column_phases:
                        columns, to_columns = _shares(wanted[1], sources[1], start, how.step)
                        for lines, to_rows in filtered:
                            plane = _along_columns(lines, up_taps[j])[:, :, :, columns]
                            _rectify(plane, how.slope, bound, out=rectified[:, :, to_rows, to_columns])
                    if down_taps.ndim == 4:
                        total = _sum(total, _conv(rectified, down_taps[a, b]))
                    else:
                        part = _sum(part, _along_columns(rectified, down_taps[b]))
                if part is not None:
                    total = _sum(total, _along_rows(part, down_taps[a]))
            out[image, :, tile[0].start : tile[0].stop, tile[1].start : tile[1].stop] = _whole(total)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        x, up_taps, down_taps = ctx.saved_tensors
        how: Resampling = ctx.how
        of_x = torch.empty_like(x)
        reach, phases = up_taps.shape[1] - 1, how.phases()
        starts = [start for phase in phases for _, start in phase]
        up_flipped, down_flipped = up_taps.flip(-1), down_taps.flip(-1)
        if down_taps.ndim == 4:
            down_flipped = down_flipped.flip(-2)
        for image, *tile in _tiles(x, how.up):
            sources = [range(part.start - reach, part.stop) for part in tile]
            # The rectified rows that these pixels had part in, of a phase.
            wanted = [
                range(how.step * s.start + min(starts), how.step * (s.stop - 1) + max(starts) + 1) for s in sources
            ]
            x_tile = _cut(x[image], sources, reach)
            bound = _bound(x_tile, up_taps, how)
            given = _cut(of_out[image], [range(w.start - down_taps.shape[-1] + 1, w.stop) for w in wanted], 0)
            parts: list[Tensor | None] = [None] * how.up
            for a, row_phases in enumerate(phases):
                filtered = [_along_rows(x_tile, up_taps[i]) for i, _ in row_phases]
                of_part = None if down_taps.ndim == 4 else _along_rows(given, down_flipped[a])
                for b, column_phases in enumerate(phases):
                    if of_part is None:
                        of_rectified = _conv(given, down_flipped[a, b])
                    else:
                        of_rectified = _along_columns(of_part, down_flipped[b])
                    for j, start in column_phases:
                        columns = _all(wanted[1], sources[1], start, how.step)
                        for (i, start), lines in zip(row_phases, filtered, strict=True):
                            rows = _all(wanted[0], sources[0], start, how.step)
                            plane = _along_columns(lines, up_taps[j])
                            of_plane = _rectify_backward(of_rectified[:, :, rows, columns], plane, how.slope, bound)
                            parts[i] = _sum(parts[i], _along_columns(of_plane, up_flipped[j]))
            total = None
            for part, taps in zip(parts, up_flipped, strict=True):
                total = _sum(total, _along_rows(_whole(part), taps))
            of_x[image, :, tile[0].start : tile[0].stop, tile[1].start : tile[1].stop] = _whole(total)
        return of_x, None, None, None


def _tiles(x: Float[Tensor, "b c h w"], factor: int) -> Iterator[tuple[slice, range, range]]:
    """Images, rows and columns of ``x`` that are at most TILE numbers when ``factor`` times as high and wide; all at
    once on devices that have no such caches."""
    b, c, height, width = x.shape
    if x.device.type != "cpu":
        yield slice(0, b), range(height), range(width)
        return
    area = max(1, TILE // (c * factor * factor))
    down = math.ceil(height / min(height, math.isqrt(area)))
    high = math.ceil(height / down)
    wide = math.ceil(width / math.ceil(width / max(1, area // high)))
    for image in range(b):
        for top in range(0, height, high):
            for left in range(0, width, wide):
                yield slice(image, image + 1), range(top, min(top + high, height)), range(left, min(left + wide, width))


def _sources(wanted: range, how: Resampling) -> range:
    """The rows of ``x`` at which the filters begin whose results fill these rows of every phase."""
    starts = [start for phase in how.phases() for _, start in phase]
    first, last = wanted.start - max(starts), wanted.stop - 1 - min(starts)
    return range(-(-first // how.step), last // how.step + 1)


def _shares(wanted: range, sources: range, start: int, step: int) -> tuple[slice, slice]:
    """Which of a phase's rows are among those wanted, and where they go; its row 0 goes to ``start``."""
    first = wanted.start + (start - wanted.start) % step
    row = (first - start) // step - sources.start
    return slice(row, row + len(range(first, wanted.stop, step))), slice(first - wanted.start, None, step)


def _all(wanted: range, sources: range, start: int, step: int) -> slice:
    """Where the results for all sources are among the rows wanted; that of row 0 is at ``start``."""
    first = step * sources.start + start - wanted.start
    return slice(first, first + step * (len(sources) - 1) + 1, step)


def _bound(x: Tensor, up_taps: Tensor, how: Resampling) -> float | None:
    """The clamp before the gain; None where no value can reach it, which spares passes over all of them."""
    if how.clamp is None:
        return None
    bound = how.clamp / how.gain
    if x.device.type != "cpu":
        return bound  # to ask would be to wait for it
    largest = max(abs(float(value)) for value in x.permute(0, 2, 3, 1).aminmax())
    return None if largest * float(up_taps.abs().sum(1).max()) ** 2 < bound else bound


def _rectify(x: Tensor, slope: float, bound: float | None, out: Tensor) -> None:
    torch.ops.aten.leaky_relu.out(x, slope, out=out)
    if bound is not None:
        out.clamp_(-bound, bound)


def _rectify_backward(given: Tensor, x: Tensor, slope: float, bound: float | None) -> Tensor:
    of_x = torch.ops.aten.leaky_relu_backward(given, x, slope, False)
    return of_x if bound is None else of_x.mul_(F.leaky_relu(x, slope).abs() <= bound)


def _along_rows(x: Tensor, taps: Tensor) -> Tensor:
    return _conv(x, taps[:, None])


def _along_columns(x: Tensor, taps: Tensor) -> Tensor:
    return _conv(x, taps[None])


def _conv(x: Float[Tensor, "b c h w"], taps: Float[Tensor, "kh kw"]) -> Float[Tensor, "b c h2 w2"]:
    """The same filter on every channel, without padding."""
    return F.conv2d(x, taps.expand(x.shape[1], 1, *taps.shape), groups=x.shape[1])


def _sum(total: Tensor | None, part: Tensor) -> Tensor:
    return part if total is None else total.add_(part)


def _whole(total: Tensor | None) -> Tensor:
    assert total is not None  # there is at least one phase
    return total


def _cut(x: Float[Tensor, "b c h w"], ranges: list[range], more: int) -> Float[Tensor, "b c h2 w2"]:
    """These rows and columns and ``more`` after them, zeros where there are none."""
    rows, columns = ranges
    _, _, height, width = x.shape
    sides = (-columns.start, columns.stop + more - width, -rows.start, rows.stop + more - height)
    return F.pad(x, sides).contiguous(memory_format=torch.channels_last)


def _empty(like: Tensor, b: int, height: int, width: int) -> Tensor:
    return like.new_empty(b, height, width, like.shape[1]).permute(0, 3, 1, 2)
