"""Terms of one's own."""

import pytest
from torch import nn

import maskedit as me
from maskedit.terms import Term


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Term("a.b", nn.Identity(), reads=lambda v: v.latent), "without dots"),
        (lambda: Term("", nn.Identity(), reads=lambda v: v.latent), "without dots"),
    ],
)
def test_what_cannot_be_is_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
