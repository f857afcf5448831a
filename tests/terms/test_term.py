"""Terms of one's own."""

import pytest
import torch
from torch import nn

import maskedit as me
from maskedit.terms import Term
from tests import toys


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


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).mean(1)


def test_a_term_knows_what_it_asks_for_once_each():
    term = Term("near", Mean(), reads=lambda v: v.latent, regions=["hair", "skin", "hair"], attributes=["smiling"] * 2)
    assert term.asks.regions == ("hair", "skin")
    assert term.asks.attributes == ("smiling",)
    assert term.about == "hair + skin + smiling"
    assert Term("near", Mean(), reads=lambda v: v.latent, about="nothing").about == "nothing"


def test_another_name_or_weight_changes_nothing_else(view):
    term = Term("near", Mean(), reads=lambda v: v.latent, regions=["skin"], attributes=["smiling"], needs=["noise"])
    for other in (3.0 * term, term.named("far")):
        assert other.loss is term.loss
        assert (other.asks, other.needs, other.about) == (term.asks, term.needs, term.about)
        assert torch.equal(other(view()), term(view()))
    assert (term.named("far").name, (3.0 * term).weight, (2 * (3.0 * term)).weight) == ("far", 3.0, 6.0)
    assert term.weight == 1.0


def test_one_argument_or_several_are_given_to_the_loss(view):
    this = view()
    one = Term("one", Mean(), reads=lambda v: v.latent)
    alone = Term("alone", Mean(), reads=lambda v: (v.latent,))
    two = Term("two", toys.Distance(), reads=lambda v: (v.latent, v.start.latent + 1))
    assert torch.equal(one(this), this.latent.flatten(1).mean(1))
    assert torch.equal(alone(this), one(this))
    assert torch.allclose(two(this), torch.full_like(two(this), 12.0))


@pytest.mark.parametrize("value", [lambda x: x.mean(), lambda x: x[:1], lambda x: 1.0, lambda x: x.flatten()])
def test_what_is_not_one_value_an_image_is_refused(value, view):
    class Wrong(nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            return value(x)

    with pytest.raises(me.RunError, match=r"'wrong' does not return one value per image; expected \[2\]"):
        Term("wrong", Wrong(), reads=lambda v: v.latent)(view())


@pytest.mark.unhooked
def test_a_name_has_no_spaces_around():
    with pytest.raises(me.InputError, match="without dots"):
        Term(" near", Mean(), reads=lambda v: v.latent)
