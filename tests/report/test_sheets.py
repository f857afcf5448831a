"""Contact sheets."""

from pathlib import Path

import pytest
import torch
from PIL import Image as pil

from maskedit import report
from maskedit.errors import InputError


def test_sheet_shows_each_column_and_row(tmp_path: Path) -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(2, 3, 40, 20)
    grey = torch.full((2, 1, 16, 16), 0.5)
    report.sheet({"before": red, "mask": grey}, tmp_path / "sheet.png", height=64)
    with pil.open(tmp_path / "sheet.png") as picture:
        page = picture.convert("RGB")
    colours = {colour: count for count, colour in page.getcolors(10_000)}
    assert colours[(255, 0, 0)] == 2 * 64 * 32
    assert colours[(128, 128, 128)] >= 2 * 64 * 64
    assert colours[(0, 0, 0)] > 0  # captions


def test_sheet_refuses_columns_of_different_lengths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"as many images in each; got \{'before': 2, 'after': 1\}"):
        report.sheet({"before": torch.rand(2, 3, 8, 8), "after": torch.rand(1, 3, 8, 8)}, tmp_path / "sheet.png")
    with pytest.raises(InputError, match="as many images"):
        report.sheet({}, tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())
