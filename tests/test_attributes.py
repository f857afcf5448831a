"""Table I."""

import pytest

import maskedit as me


def test_table_one():
    assert len(me.ATTRIBUTE_REGIONS) == 14
    assert me.target_regions(["blond_hair", "smiling", "wavy_hair"]) == ("hair", "mouth")
    assert set().union(*me.ATTRIBUTE_REGIONS.values()) <= set(me.REGIONS)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.target_regions(["beard"]), "no region is known for.*'beard'"),
    ],
)
def test_what_cannot_be_is_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
