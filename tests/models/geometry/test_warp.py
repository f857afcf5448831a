"""Warps of whole faces, on the mean face and on a picture of stripes."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.geometry import Warp, bounds, flow, load_coordinates, mesh
from maskedit.models.geometry.coordinates import LONGEST, REGIONS, SAFE_SIZE, names
from maskedit.models.geometry.warp import pixels, sheets

COORDINATES = load_coordinates()


def face(turned: float = 0.0) -> Tensor:
    """The mean face, turned by some degrees, with its lips a little apart."""
    angle = torch.tensor(turned * torch.pi / 180)
    points = COORDINATES.mean.clone()
    middle = points.mean(0)
    points = points - middle
    x = points[:, 0] * angle.cos() + points[:, 2] * angle.sin()
    return (torch.stack([x, points[:, 1]], 1) + middle[:2])[None]


def picture(size: int = 64, batch: int = 1) -> Tensor:
    at = torch.linspace(0, 9, size)
    x, y = at[None, :].expand(size, size), at[:, None].expand(size, size)
    return (torch.stack([x.sin(), y.cos(), (x + y).sin()]) / 2 + 0.5).expand(batch, -1, -1, -1)


def test_the_same_shape_leaves_the_picture_as_it_is() -> None:
    points = face()
    image = picture(256)
    torch.testing.assert_close(Warp(points)(image, points), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("region", REGIONS)
def test_no_face_folds_within_the_safe_ranges(region: str) -> None:
    """One coordinate at a time, seen from the front and turned; and the points land within 0.4 px on average."""
    low, high = bounds(COORDINATES)
    i = REGIONS.index(region)
    rows = torch.zeros(2 * len(names(region)), len(REGIONS), LONGEST)
    for k, limit in enumerate((low, high)):
        rows[k::2, i, : len(names(region))] = torch.diag(limit[i, : len(names(region))])
    for turned in (0.0, 20.0):
        points = face(turned).expand(len(rows), -1, -1)
        warp = Warp(points)
        shape = COORDINATES.shape(points, rows)
        assert (warp.smallest(shape) > 0.1).all()
        own = mesh.rows(mesh.OWN[region])
        missed = (warp.landed(shape) - shape)[:, own].norm(dim=2).mean() * 256
        assert missed < 0.4


def test_points_land_where_the_pixels_do() -> None:
    """The fields on the grid bring the points to within a tenth of a pixel of where they are said to land."""
    points = face()
    rows = COORDINATES.rows({"mouth": {"open": 1.5, "smile": 1.0}, "eyes": {"open": -1.0}})
    warp, shape = Warp(points), COORDINATES.shape(points, rows)
    upper, lower = (flow.moved(field, points) for field in warp.fields(shape))
    apart = torch.minimum((upper - warp.landed(shape)).norm(dim=2), (lower - warp.landed(shape)).norm(dim=2))
    assert apart.max() < 0.1 / 256


def test_a_fold_is_seen() -> None:
    points = face()
    shape = COORDINATES.shape(points, COORDINATES.rows({"nose": {"y": -14.0}}))
    assert Warp(points).smallest(shape) < 0


def test_sizes_are_as_asked() -> None:
    """A region's polygons grow by the product of both factors, within a tenth where the warp lets them."""
    points = face()
    for region in REGIONS:
        wide, high = (min(1.2, limits[1]) for limits in SAFE_SIZE[region])
        shape = COORDINATES.shape(points, COORDINATES.rows({region: COORDINATES.size(region, wide, high)}))
        grown = mesh.area(Warp(points).landed(shape), region) / mesh.area(points, region)
        assert grown.item() == pytest.approx(wide * high, rel=0.1)


def test_other_regions_stay() -> None:
    points = face()
    for region in ("eyes", "eyebrows", "nose"):
        rows = COORDINATES.rows({region: {"x": 1.0, "width": 1.0}})
        moved = (COORDINATES.shape(points, rows) - points).norm(dim=2)[0] > 0
        assert {mesh.POINTS[i] for i in moved.nonzero()[:, 0].tolist()} <= set(mesh.OWN[region])


def test_an_opening_mouth_is_cut_between_the_lips() -> None:
    points = face()
    shape = COORDINATES.shape(points, COORDINATES.rows({"mouth": {"open": 2.0}}))
    above, below, between = (share.view(256, 256) for share in sheets(shape, pixels(picture(256))))
    torch.testing.assert_close(above + below + between, torch.ones(256, 256))
    upper, lower = (shape[0, mesh.rows([n])[0]] * 256 for n in (13, 14))
    x = int(upper[0])
    assert between[int((upper[1] + lower[1]) / 2), x] == 1
    assert above[int(upper[1]) - 2, x] == 1
    assert below[int(lower[1]) + 2, x] == 1


def test_lips_that_meet_show_a_line_and_no_tooth() -> None:
    """A white mouth between dark lips closes to a dark line."""
    points = COORDINATES.shape(face(), COORDINATES.rows({"mouth": {"open": 2.0}}))
    teeth = sheets(points, pixels(picture(256)))[2].view(1, 1, 256, 256).expand(-1, 3, -1, -1)
    image = 0.3 + 0.7 * teeth
    shape = points.clone()
    upper, lower = mesh.rows(mesh.UPPER_INNER), mesh.rows(mesh.LOWER_INNER)
    half = (points[:, lower] - points[:, upper]) / 2
    shape[:, upper] += half
    shape[:, lower] -= half
    shape[:, mesh.rows(mesh.UPPER_LIP)] += half
    shape[:, mesh.rows(mesh.LOWER_LIP)] -= half
    closed = Warp(points)(image, shape)
    middle = (shape[0, upper[5]] * 256).long()
    around = closed[0, 0, middle[1] - 6 : middle[1] + 6, middle[0]]
    assert around.max() < 0.45
    assert around.min() < 0.2


def test_a_batch_equals_singles() -> None:
    points = torch.cat([face(), face(15.0)])
    rows = torch.cat([COORDINATES.rows({"mouth": {"smile": 1.0}}), COORDINATES.rows({"eyes": {"open": -1.0}})])
    shape = COORDINATES.shape(points, rows)
    image = picture(64, 2)
    together = Warp(points)(image, shape)
    for i in range(2):
        one = slice(i, i + 1)
        torch.testing.assert_close(COORDINATES.shape(points[one], rows[one]), shape[one], atol=1e-6, rtol=0)
        torch.testing.assert_close(Warp(points[one])(image[one], shape[one]), together[one], atol=1e-4, rtol=0)


def test_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all pixels in the coordinates, in float64, against finite differences."""
    monkeypatch.setattr(flow, "GRID", 16)
    points = face().double()
    coordinates = type(COORDINATES)(
        COORDINATES.mean.double(),
        {region: d.double() for region, d in COORDINATES.directions.items()},
        {region: d.double() for region, d in COORDINATES.deviations.items()},
    )
    warp, image = Warp(points), picture(16).double()
    direction = torch.randn(1, len(REGIONS), LONGEST, generator=torch.Generator().manual_seed(1)).double()

    def drawn(amount: Tensor) -> Tensor:
        return warp(image, coordinates.shape(points, amount * direction))

    assert torch.autograd.gradcheck(drawn, torch.tensor(0.3, dtype=torch.float64, requires_grad=True), eps=1e-7)


def test_unknown_coordinates_get_a_sentence() -> None:
    with pytest.raises(InputError, match="no coordinates are known of 'ears'; expected one of mouth"):
        COORDINATES.rows({"ears": {"x": 1.0}})
    with pytest.raises(InputError, match="the nose has no coordinate 'smile'"):
        COORDINATES.rows({"nose": {"smile": 1.0}})


def test_the_mesh_is_its_own_mirror_twice() -> None:
    torch.testing.assert_close(mesh.MIRROR[mesh.MIRROR], torch.arange(len(mesh.POINTS)))


def test_polygons_and_their_masks_agree() -> None:
    points = face()
    for region in REGIONS:
        share = mesh.mask(points, region, 512).float().mean()
        assert share.item() == pytest.approx(mesh.area(points, region).item(), rel=0.03)


def test_a_camera_says_how_a_head_is_turned() -> None:
    fronts = [mesh.camera(face(turned), COORDINATES.mean, ridge=0.0)[0] for turned in (0.0, 10.0, 20.0)]
    torch.testing.assert_close(fronts[0][:, :3], torch.eye(2, 3), atol=1e-3, rtol=0)
    assert all(a[0, 2] < b[0, 2] for a, b in pairwise(fronts))
