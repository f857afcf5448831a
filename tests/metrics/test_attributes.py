"""Success and spill from logits before and after."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskedit.errors import InputError
from maskedit.metrics import moved, spill, success


def test_success_is_the_side_that_was_asked_for() -> None:
    logits = torch.tensor([2.0, -2.0, 2.0, -2.0])
    assert success(logits, 1).tolist() == [True, False, True, False]
    assert success(logits, 0).tolist() == [False, True, False, True]
    assert success(logits, torch.tensor([0.8, 0.8, 0.1, 0.1])).tolist() == [True, False, False, True]


def test_spill_counts_other_attributes_that_flipped() -> None:
    before = torch.tensor([[1.0, -1.0, 3.0, -2.0], [1.0, 1.0, 1.0, 1.0]])
    after = torch.tensor([[-1.0, 1.0, 2.0, 2.0], [-1.0, 1.0, 1.0, 1.0]])
    assert spill(before, after, but=[0]).tolist() == pytest.approx([2 / 3, 0])
    assert spill(before, after, but=[0, 3]).tolist() == pytest.approx([1 / 2, 0])
    expected = (before.sigmoid() - after.sigmoid()).abs()[:, 1:].mean(1)
    torch.testing.assert_close(moved(before, after, but=[0]), expected)


@given(st.integers(0, 1000), st.floats(-50, 50))
def test_what_was_to_change_never_spills(seed: int, far: float) -> None:
    before = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))
    after = before.clone()
    after[:, 1] = far
    for measure in (spill, moved):
        assert measure(before, after, but=[1]).tolist() == [0, 0, 0]
        assert bool((measure(before, -before, but=[1]) > 0).all())


@pytest.mark.parametrize("measure", [spill, moved])
def test_columns_that_leave_nothing_are_refused(measure) -> None:
    logits = torch.zeros(2, 2)
    with pytest.raises(InputError, match="no other attribute is left"):
        measure(logits, logits, but=[0, 1])
    with pytest.raises(InputError, match="no such attribute; expected 0 to 1; got 7"):
        measure(logits, logits, but=[7])
