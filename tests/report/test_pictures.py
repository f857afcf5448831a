"""Pictures written to files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskedit import report
from maskedit.errors import FileError
from tests.report.steps import history


@pytest.mark.parametrize(
    "write",
    [
        lambda path: report.sheet({"a": torch.rand(1, 3, 8, 8)}, path),
        lambda path: report.loss_curves(history(), path),
    ],
)
def test_unwritable_places_get_a_sentence(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with pytest.raises(FileError, match="cannot write"):
        write(tmp_path / "nowhere" / "picture.png")
