"""PTI: invert first, then tune the generator's weights around the latent that was found, for each image by itself."""

import torch

import maskedit as me


def schedule(lpips, steps=350, rate=3e-4, threshold=0.06, pivot=()):
    """``lpips`` maps two pictures to ``[b]``; ``pivot`` is a stage that finds the latent, if it is not given."""
    l2 = me.Term("l2", me.each(torch.nn.MSELoss()))
    near = me.Term("lpips", lpips)
    tune = me.Stage("tune", steps, l2 + near, vary=me.weights(lr=rate), stop=me.Threshold("lpips", threshold))
    return me.Schedule(*pivot, tune, blend=None)
