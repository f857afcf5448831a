"""Structure redrawn where the edit drew another one."""

import math

import pytest
import torch

import maskedit as me
from maskedit.blending import redrawn, toned
from tests.blending.pictures import blurred, disc


def test_redrawing_takes_the_ghost_and_leaves_the_strands():
    line = torch.linspace(-1, 1, 64)
    teeth = (line.abs() < 0.25)[None] & (line.abs() < 0.1)[:, None]
    fitted = torch.where(teeth, 0.9, 0.4).expand(1, 3, -1, -1)
    photo = torch.nn.functional.interpolate(fitted, scale_factor=4)
    mask = torch.ones(1, 1, 64, 64)
    closed = torch.full_like(fitted, 0.4)
    # The photo's teeth are sharper than the fitted ones: added to the photo, the change leaves their edges.
    soft = torch.nn.functional.avg_pool2d(fitted, 5, 1, 2, count_include_pad=False)
    ghost = me.blend_change(closed, soft, photo, mask).std()
    assert me.blend_redraw(closed, soft, photo, mask).std() < 0.7 * ghost
    # A colour that changes broadly changes nothing: a shape is no reason for another complexion.
    strands = photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    tinted = soft + 0.2 * torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1)
    torch.testing.assert_close(me.blend_redraw(tinted, soft, strands, mask), strands, rtol=0, atol=1e-3)
    # The teeth that went do not glow through: colours are compared where nothing was redrawn.
    glow = [toned(closed, fitted, same)[0, 0, 32, 32] - 0.4 for same in (mask, mask * (1 - redrawn(closed, soft)))]
    assert glow[1] < 0.4 * glow[0]


def test_what_counts_as_redrawn_grows_with_the_change_of_detail():
    plain = torch.full((1, 3, 64, 64), 0.5)
    line = torch.zeros_like(plain)
    line[..., 32] = 1
    shares = [redrawn(plain + height * line, plain)[0, 0, 32, 32].item() for height in (0.0, 0.1, 0.3, 0.6)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.2 < shares[1] < 0.95
    assert shares[3] > 0.99
    assert redrawn(plain + 0.3, plain).max() < 1e-4  # a colour that changes everywhere is no structure
    strict, lax = (redrawn(plain + 0.1 * line, plain, tolerance=t)[0, 0, 32, 32] for t in (0.03, 0.12))
    assert strict > shares[1] > lax
    # One less e^-(energy / tolerance^2): four times the tolerance is a sixteenth of the exponent.
    exponents = [
        -math.log(1 - redrawn(plain + 0.1 * line, plain, tolerance=t)[0, 0, 32, 32].item()) for t in (0.06, 0.24)
    ]
    assert exponents[0] == pytest.approx(16 * exponents[1], rel=1e-2)


def test_a_picture_is_toned_by_the_broad_difference():
    g = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 64, 64, generator=g)
    shift = torch.tensor([0.2, 0.0, -0.1]).view(1, 3, 1, 1)
    full = torch.ones(1, 1, 64, 64)
    torch.testing.assert_close(toned(picture, picture + shift, full), picture + shift, rtol=0, atol=1e-3)
    assert torch.equal(toned(picture, picture, full), picture)


def test_redrawn_and_toned_written_out():
    g = torch.Generator().manual_seed(1)
    edited, fitted = torch.rand(2, 1, 3, 64, 64, generator=g)
    change = edited - fitted
    energy = (change - blurred(change, 2)).square().mean(1, keepdim=True)
    expected = 1 - torch.exp(-blurred(energy, 1) / 0.06**2)
    torch.testing.assert_close(redrawn(edited, fitted), expected)
    mask = disc(64)[:1]
    broad = blurred(mask * (fitted - edited), 8) / (blurred(mask, 8) + 1e-3)
    torch.testing.assert_close(toned(edited, fitted, mask), edited + broad)
