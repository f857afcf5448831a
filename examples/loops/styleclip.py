"""StyleCLIP's optimisation, of W+ or of the styles: towards a text, near the start, with the same face."""

import torch
import torch.nn.functional as F

import maskedit as me
from examples.loops.ramp import Ramp


def away_from(text):
    return lambda seen: 1 - F.cosine_similarity(seen, text.expand_as(seen))


def apart(x, y):
    return (x - y).flatten(1).square().sum(dim=1)


def no_likeness(x, y):
    return 1 - (x * y).sum(dim=1)


def styles_of(given):
    return torch.cat([given[f"styles.{i}"] for i in range(sum(name.startswith("styles.") for name in given))], dim=1)


def schedule(clip, face, text, steps=300, rate=0.1, near=0.008, identity=0.05, styles=None):
    """``clip`` and ``face`` map pictures to vectors; ``styles`` are those that move, or None for W+."""
    ramp = Ramp(rate, steps)
    reads = (lambda v: (v.latent, v.start.latent)) if styles is None else _styles
    terms = (
        me.Term("clip", away_from(text), reads=lambda v: v.features(clip))
        + near * me.Term("near", apart, reads=reads)
        + identity * me.Term("identity", no_likeness, reads=lambda v: (v.features(face), v.original.features(face)))
    )
    vary = me.latent(lr=ramp) if styles is None else me.styles(lr=ramp, layers=styles)
    return me.Schedule(me.Stage("edit", steps, terms, vary=vary), blend=None)


def _styles(view):
    return styles_of(view.given), styles_of(view.start.given)
