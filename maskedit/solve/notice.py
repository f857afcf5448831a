"""What would run to its end and be wrong: models in training mode, other ranges, terms without gradient."""

import warnings

from jaxtyping import Bool
from torch import Tensor, nn

from maskedit.errors import InputError, RunError
from maskedit.problem import Problem
from maskedit.protocols import Models
from maskedit.schedule import Stage
from maskedit.terms import Evaluation, at
from maskedit.types import Image

FAR_OUTSIDE, MANY = 0.25, 0.15
"""Pixels of a generator may lie this far outside the range, in parts of it, before they count; this share may."""


def check_models(models: Models) -> None:
    """Refuse models whose pictures mix, or depend on chance.

    Raises:
        InputError: naming the model and the layer.
    """
    mixing = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for role in ("generator", "parser", "classifier", "encoder"):
        model = getattr(models, role)
        for name, part in model.named_modules() if isinstance(model, nn.Module) else ():
            if isinstance(part, mixing) and part.training:
                raise InputError(
                    f"the {role} is in training mode: its {type(part).__name__} {name!r} would not be itself",
                    expected="a model in evaluation mode",
                    hint=f"Call {role}.eval().",
                )


def check_gradients(stage: Stage, evaluation: Evaluation, moving: Bool[Tensor, " b"]) -> None:
    """Refuse a term that weighs, but passes no gradient on.

    Raises:
        RunError: naming the term.
    """
    if not bool(moving.any()) or not evaluation.total.requires_grad:
        return  # the loop says that nothing moves
    for term in stage.terms:
        weighs = callable(term.weight) or at(term.weight, 0) != 0
        if weighs and not evaluation.raw[term.name].requires_grad:
            raise RunError(
                f"term {term.name!r} of stage {stage.name!r} passes no gradient to what the stage varies",
                hint="Its loss or its model cuts it off (no_grad, detach), or it looks at nothing that moves. "
                "To watch it only, weigh it 0.",
            )


def check_drawn(picture: Image, problem: Problem) -> None:
    """Warn of a generator whose pictures are in another range than the problem's, and say which they seem to have."""
    low, high = problem.range
    scaled = (picture - low) / (high - low)
    outside = ((scaled < -FAR_OUTSIDE) | (scaled > 1 + FAR_OUTSIDE)) & scaled.isfinite()
    if outside.float().mean() > MANY:
        found_low, found_high = (float(x) for x in picture[picture.isfinite()].aminmax())
        warnings.warn(
            f"the generator's pictures are in another range than the problem's: mostly values in [{low:g}, {high:g}] "
            f"were expected, they go from {found_low:.3g} to {found_high:.3g}. Problem(..., range=(-1, 1)) declares "
            "another range, for the input too.",
            RuntimeWarning,
            stacklevel=5,
        )
