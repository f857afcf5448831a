"""What the tests of models share: the formula that fills a network with known weights."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def formula(fixtures: Path) -> ModuleType:
    """``fill_(module)``: weights that depend on a key and its shape alone, as in the reference values."""
    spec = importlib.util.spec_from_file_location("formula", fixtures / "formula.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
