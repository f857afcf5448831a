"""What attributes change in latents: a regression on labels, against scores that were made from them."""

import math

import torch

from maskedit.training.generator import attribute_changes

NAMES = ("smiling", "young", "pale_skin")


def made(people: int, noise: float = 0.0) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """Scores of people of whom smiling ones are mostly young, their labels, and what each attribute adds."""
    random = torch.Generator().manual_seed(0)
    labels = (torch.rand(people, 3, generator=random) < 0.5).float()
    labels[:, 1] = torch.where(torch.rand(people, generator=random) < 0.8, labels[:, 0], labels[:, 1])
    adds = torch.randn(3, 5, generator=random)
    scores = 2 + labels @ adds + noise * torch.randn(people, 5, generator=random)
    return scores, dict(zip(NAMES, labels.mT, strict=True)), adds


def test_what_an_attribute_adds_is_found_apart_from_what_goes_with_it() -> None:
    scores, known, adds = made(4000, noise=0.5)
    found = torch.stack(list(attribute_changes(scores, known).values()))
    assert (found - adds).abs().max() < 0.1
    # The plain difference of means would bring youth along with a smile.
    smiling = known["smiling"] == 1
    plain = scores[smiling].mean(0) - scores[~smiling].mean(0)
    assert (plain - adds[0]).abs().max() > 3 * (found[0] - adds[0]).abs().max()


def test_unknown_labels_say_nothing() -> None:
    scores, known, _ = made(400)
    unknown = known | {"pale_skin": torch.full((400,), math.nan).index_fill(0, torch.tensor([0, 1]), 1.0)}
    found = attribute_changes(scores, unknown)
    assert found["pale_skin"].norm() == 0
    assert all(change.isfinite().all() for change in found.values())
    assert attribute_changes(scores, {}) == {}
