"""Barbershop: embed in W+, then in F and the rows above it; then mix two such latents under one F."""

import torch.nn.functional as F

import maskedit as me


def small(picture):
    return F.avg_pool2d(picture, 2)


def embedding(lpips, mean, components, deviations, steps, vary):
    """One of the two embeddings; ``mean``, ``components`` and ``deviations`` are of W after its last rectifier."""

    def prior(latent):
        scores = (F.leaky_relu(latent, 5.0) - mean) @ components.mT / deviations
        return 0.01 * scores.square().mean(dim=(1, 2))

    terms = (
        me.Term("l2", me.each(F.mse_loss))
        + me.Term("lpips", lpips, reads=lambda v: (small(v.image), small(v.original.image)))
        + me.Term("p_norm", prior, reads=lambda v: v.latent)
    )
    return me.Schedule(me.Stage("embed", steps, terms, vary=vary), blend=None)


def in_w_plus(lpips, mean, components, deviations, steps=1100, rate=0.01):
    return embedding(lpips, mean, components, deviations, steps, me.latent(lr=rate))


def in_fs(lpips, mean, components, deviations, at, rows, steps=250, rate=0.01):
    """``at`` is the resolution of F; ``rows`` are those of W+ that come after it."""
    vary = [me.features(lr=rate, at=at), me.latent(lr=rate, layers=rows)]
    return embedding(lpips, mean, components, deviations, steps, vary)


def blend(lpips, first, second, face, hair, steps=400, rate=0.01):
    """From one latent to another, so that each mask looks like its own picture: (picture, mask) twice."""

    def like(name, target):
        picture, mask = target
        return me.Term(name, lpips, reads=lambda v: (small(v.image), picture, mask))

    stage = me.Stage("blend", steps, like("face", face) + like("hair", hair), vary=me.mix(first, second, lr=rate))
    return me.Schedule(stage, blend=None)
