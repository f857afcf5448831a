"""What every test shares: few threads, so that runs side by side do not fight for cores, and the shared data."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(min(2, torch.get_num_threads()))

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def faces() -> Path:
    """The folder of aligned faces with landmarks, which the project does not ship."""
    folder = SHARED / "faces"
    if not folder.is_dir():
        pytest.skip("needs ../shared/faces, which is not here")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of reference values, of which tests/data holds what must always be tested."""
    folder = SHARED / "fixtures"
    if not folder.is_dir():
        pytest.skip("needs ../shared/fixtures, which is not here")
    return folder
