"""The network for the mesh's points: places are those of the whole square, and pictures are independent."""

import torch
from torch import nn

from maskedit.models.geometry import MeshNet
from maskedit.models.geometry.mesh import POINTS
from maskedit.models.geometry.network import WINDOW


def test_points_follow_the_picture() -> None:
    """What lights up at a place of the square is found there, whatever part of it is looked at."""
    network = MeshNet(size=32, widths=(8, 8, 8)).eval()
    network.inner.trunk = nn.Identity()  # type: ignore[assignment]  # the pictures' first channel is then the map
    network.inner.head = nn.Conv2d(3, len(POINTS), 1)
    nn.init.zeros_(network.inner.head.weight)
    network.inner.head.weight.data[:, 0] = 200
    left, top, side = WINDOW
    place = torch.tensor([left + side * 10.5 / 32, top + side * 20.5 / 32])
    at = (torch.arange(256) + 0.5) / 256
    spot = torch.exp(-((at[None] - place[0]) ** 2 + (at[:, None] - place[1]) ** 2) / 0.0003)
    found = network.points(spot.expand(1, 3, -1, -1))
    torch.testing.assert_close(found, place.expand(1, len(POINTS), 2), atol=3e-3, rtol=0)


def test_a_batch_equals_singles_and_gradients_reach_it() -> None:
    network = MeshNet(size=32, widths=(8, 8, 8)).eval()
    image = torch.rand(2, 3, 48, 48, requires_grad=True)
    together = network.points(image)
    torch.testing.assert_close(together, torch.cat([network.points(one[None]) for one in image]), atol=1e-5, rtol=1e-4)
    together.square().sum().backward()
    assert image.grad is not None
    assert (image.grad.flatten(1).abs().amax(1) > 0).all()
