"""What a loss looks at: the view of a step, terms that bind losses to it, objectives, and the paper's terms."""

from maskedit.terms.objective import Evaluation, Objective, Term
from maskedit.terms.paper import (
    attribute,
    identity,
    latent_prior,
    perceptual,
    preserve,
    region_size,
    shape,
    white_noise,
)
from maskedit.terms.rate import Rate, at, show_rate
from maskedit.terms.view import Reads, Shown, Start, View, see_original

__all__ = [
    "Evaluation",
    "Objective",
    "Rate",
    "Reads",
    "Shown",
    "Start",
    "Term",
    "View",
    "at",
    "attribute",
    "identity",
    "latent_prior",
    "perceptual",
    "preserve",
    "region_size",
    "see_original",
    "shape",
    "show_rate",
    "white_noise",
]
