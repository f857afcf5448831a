"""Rates: numbers, or functions of the step in their stage."""

import pytest
from torch import nn

from maskedit.errors import InputError
from maskedit.terms.rate import at, product, show_rate


def halving(step: int) -> float:
    return 0.5**step


def test_a_rate_is_read_at_a_step():
    assert at(3, 7) == 3.0
    assert isinstance(at(3, 7), float)
    assert at(halving, 3) == 0.125


def test_products_are_numbers_as_long_as_both_are():
    assert product(2, 0.5) == 1.0
    assert isinstance(product(2, 3), float)
    assert product(1.0, halving) is halving
    assert product(halving, 1) is halving
    both = product(halving, product(3, lambda step: step + 1))
    assert both(2) == 0.25 * 9


def test_rates_print_their_number_or_name():
    assert show_rate(0.0010) == "0.001"
    assert show_rate(halving) == "halving"
    assert repr(product(2, halving)) == "2*halving"


@pytest.mark.unhooked
@pytest.mark.parametrize("nonsense", ["2", None, nn.Identity()])
def test_what_is_no_rate_is_refused(nonsense):
    with pytest.raises(InputError, match="number, or a function of the step"):
        product(1.0, nonsense)
