"""What every test shares: few threads, so that runs side by side do not fight for cores; seeds; the shared data."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)  # one commit gives one answer, on slow machines too
settings.load_profile("same")
torch.set_num_threads(min(2, torch.get_num_threads()))

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test draws the same numbers, whatever ran before it."""
    torch.manual_seed(0)


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
