"""The backward pass: each image's gradients for its own parameters, and which of them can be used."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from maskedit.errors import RunError
from maskedit.schedule import Moving, Stage
from maskedit.terms import Evaluation, View


def backward(
    stage: Stage, evaluation: Evaluation, variables: Sequence[Moving], moving: Bool[Tensor, " b"]
) -> Bool[Tensor, " b"]:
    """Put gradients of each moving image's total into its own parameters.

    Args:
        stage: whose terms were evaluated.
        evaluation: of this step.
        variables: what moves; those that evaluate by a closure get none.
        moving: which images move.

    Returns:
        Which images have a finite total and finite gradients.

    Raises:
        RunError: if the total depends on nothing that moves.
    """
    finite = evaluation.total.detach().isfinite()
    wanted = moving & finite
    movers = [m for m in variables if not m.closure]
    if not movers or not bool(wanted.any()):
        return finite
    if not evaluation.total.requires_grad:
        raise RunError(
            f"nothing to optimise in stage {stage.name!r}: no term depends on what it varies",
            hint="Check vary=, and that losses and models let gradient through.",
        )
    parameters = [p for m in movers for p in m.all_parameters()]
    # Only the wanted gradients: the models' own weights, frozen or not, are left alone.
    gradients = torch.autograd.grad(evaluation.total[wanted].sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    for m in movers:
        finite = finite & m.gradient_is_finite()
    return finite


def culprit(evaluation: Evaluation, view: View, image: int) -> str:
    """What of an image is not finite: the picture, a term, a weight, or else the gradient."""
    terms = [f"term {name!r}" for name, value in evaluation.raw.items() if not value[image].isfinite()]
    if not terms and not evaluation.total[image].isfinite():
        terms = [f"the weight of {n!r}" for n, v in evaluation.weighted.items() if not v[image].isfinite()]
    if terms and view.drawn and not bool(view.image[image].isfinite().all()):
        return "the generated image"
    return terms[0] if terms else "the gradient"
