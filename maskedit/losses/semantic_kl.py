"""Eq. 3: show the wanted attributes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.losses._checks import check_floating, full, shape_text
from maskedit.types import Logits, PerSample


def semantic_kl(
    logits: Logits, labels: Logits, *, smoothing: float | int | Float[Tensor, " attributes"] = 0.05
) -> PerSample:
    """Divergence of the classifier's predictions from the wanted attributes (Eq. 3).

    The mean over attributes of ``KL(Bernoulli(y) || Bernoulli(sigmoid(logit)))`` with
    ``y = label (1 - 2 smoothing) + smoothing``. Computed from the logits as
    ``softplus(logit) - y logit`` less the entropy of ``y``: finite with the right gradient at any logit,
    where the released program's log of a sigmoid is infinite.

    Args:
        logits: ``[b, attributes]``.
        labels: ``[b, attributes]``: 1 present, 0 absent, or anything between.
        smoothing: the paper's epsilon in [0, 0.5], one for all or one per attribute.

    Returns:
        ``[b]``, zero where every prediction equals its smoothed label.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    check_floating(logits=logits, labels=labels)
    if logits.ndim != 2 or labels.shape != logits.shape:
        raise InputError(
            "logits and labels do not match",
            expected="both [b, attributes]",
            actual=f"logits {shape_text(logits)}, labels {shape_text(labels)}",
            hint="Give every image its own row of labels: labels.expand_as(logits).",
        )
    logits, labels = full(logits), full(labels)
    if isinstance(smoothing, Tensor):
        smoothing = smoothing.to(labels)
    wanted = labels * (1 - 2 * smoothing) + smoothing
    cross_entropy = F.softplus(logits) - wanted * logits
    return (cross_entropy + torch.xlogy(wanted, wanted) + torch.xlogy(1 - wanted, 1 - wanted)).mean(dim=1)


class SemanticKL(nn.Module):
    """Show the wanted attributes: Eq. 3, :func:`~maskedit.functional.semantic_kl`.

    Args:
        smoothing: the paper's epsilon, in [0, 0.5]: one for all attributes, or one for each.

    Raises:
        InputError: if a smoothing is outside [0, 0.5].

    Example:
        >>> import torch
        >>> SemanticKL(smoothing=0.1)(torch.tensor([[0.0], [-200.0]]), torch.ones(2, 1))
        tensor([  0.3681, 179.6749])
    """

    smoothing: Tensor

    def __init__(self, *, smoothing: float | int | Sequence[float | int] = 0.05) -> None:
        super().__init__()
        values = torch.as_tensor(smoothing, dtype=torch.float32)
        if values.ndim > 1 or not bool(((values >= 0) & (values <= 0.5)).all()):
            raise InputError("smoothing is out of range", expected="values in [0, 0.5]", actual=str(smoothing))
        self._shown = smoothing if isinstance(smoothing, float | int) else list(smoothing)
        self.register_buffer("smoothing", values, persistent=False)

    def forward(self, logits: Logits, labels: Logits) -> PerSample:
        """The divergence of the predictions from the smoothed labels.

        Args:
            logits: what the classifier says ``[b, attributes]``.
            labels: what is wanted ``[b, attributes]``: 1 present, 0 absent, or anything between.

        Returns:
            ``[b]``, zero where every prediction equals its smoothed label.
        """
        smoothing = self._shown if isinstance(self._shown, float | int) else self.smoothing
        return semantic_kl(logits, labels, smoothing=smoothing)

    def extra_repr(self) -> str:
        return f"smoothing={self._shown}"
