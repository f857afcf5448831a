"""One term of each kind."""

import maskedit as me

TERMS = (
    me.preserve("skin"),
    me.attribute("smiling"),
    me.region_size("mouth", scale=1.5),
    me.shape("mouth"),
    me.white_noise(),
    me.latent_prior(),
)
