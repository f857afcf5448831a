"""What the tests of models share."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def lively() -> Callable[[nn.Module], nn.Module]:
    """Gives a network statistics and scales under which every bias and batch norm matters; eval mode."""

    def fill(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        for key, value in network.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.ndim == 1:
                value.normal_(1.0 if key.endswith("weight") else 0.0, 0.2, generator=generator)
        return network.eval()

    return fill
