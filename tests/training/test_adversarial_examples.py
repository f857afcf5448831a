"""The adversary of the classifier's training: as far as it was told, and up the loss."""

import torch

from maskedit.training.classifier import adversarial_examples


def test_a_linear_loss_is_climbed_straight() -> None:
    slope = torch.zeros(2, 3, 4, 4)
    slope[0, 0, 1, 2], slope[1, 2, 3, 0] = 3.0, -0.5
    photos = torch.rand(2, 3, 4, 4)
    moved = adversarial_examples(photos, lambda shown: (slope * shown).sum(), 2.0)
    torch.testing.assert_close(moved - photos, 2 * slope.sign())


def test_it_misleads_every_picture_as_far_and_leaves_the_network_alone() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 1))
    photos = torch.rand(5, 3, 8, 8)
    moved = adversarial_examples(photos, lambda shown: net(shown).sum(), 0.1)
    torch.testing.assert_close((moved - photos).flatten(1).norm(dim=1), torch.full((5,), 0.1))
    assert (net(moved) > net(photos)).all()
    assert all(weight.grad is None for weight in net.parameters())
    assert not moved.requires_grad
