"""Reference values of the released program's losses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="package")
def reference(device: torch.device) -> dict[str, Tensor]:
    with np.load(DATA / "losses.npz") as file:
        return {name: torch.from_numpy(np.asarray(file[name])).to(device) for name in file.files}
