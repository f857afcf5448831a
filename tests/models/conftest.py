"""What the tests of models share: ways to fill a network with weights."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def formula(fixtures: Path) -> ModuleType:
    """``fill_(module)``: weights that depend on a key and its shape alone, as in the reference values."""
    spec = importlib.util.spec_from_file_location("formula", fixtures / "formula.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
