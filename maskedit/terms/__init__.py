"""What a loss looks at: the view of a step, terms that bind losses to it, objectives, and the paper's terms."""

from maskedit.terms.any_loss import Each, each
from maskedit.terms.drawing import Given, Value, count, detached, draw, noises_in, one, stacked
from maskedit.terms.moving_target import PLACE, placed
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
from maskedit.terms.rate import Rate, at, is_number, show_rate
from maskedit.terms.view import Now, Range, Reads, Scene, Shown, Start, View, fitted_to, see_original

__all__ = [
    "PLACE",
    "Each",
    "Evaluation",
    "Given",
    "Now",
    "Objective",
    "Range",
    "Rate",
    "Reads",
    "Scene",
    "Shown",
    "Start",
    "Term",
    "Value",
    "View",
    "at",
    "attribute",
    "count",
    "detached",
    "draw",
    "each",
    "fitted_to",
    "identity",
    "is_number",
    "latent_prior",
    "noises_in",
    "one",
    "perceptual",
    "placed",
    "preserve",
    "region_size",
    "see_original",
    "shape",
    "show_rate",
    "stacked",
    "white_noise",
]
