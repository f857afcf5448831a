"""Regions corrected by eye: the polygons' form, how they are painted, and the sheets of drawn faces."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.faces import DATA
from benchmarks.faces import checked_regions as module
from benchmarks.faces.checked_regions import SIDE, checked_regions, sheets
from maskedit.attributes import REGIONS
from maskedit.metrics import intersection_over_union
from maskedit.training.faces import load_faces
from maskedit.training.given_regions import Painted, paint, read_regions
from maskedit.training.labels import load_labels
from tests.training.drawn import SIZE, drawn_face, drawn_landmarks

LEFT = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
TOP = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.5], [0.0, 0.5]]


def corrections() -> Mapping[str, Sequence[Painted]]:
    return read_regions(DATA / "checked_regions.json").painted


def number(name: str) -> int:
    return REGIONS.index(name)


def test_sixty_held_out_photos_a_third_of_them_synthetic() -> None:
    with (DATA / "checked_attributes.csv").open(newline="") as file:
        held_out = [row["file"] for row in csv.DictReader(file)]
    names = [name for name in corrections() if name in held_out]
    assert len(names) >= 60
    assert 0.3 < sum(name.startswith("sfhq") for name in names) / len(names) < 0.4


def test_the_other_photos_are_trained_on() -> None:
    with (DATA / "checked_attributes.csv").open(newline="") as file:
        held_out = {row["file"] for row in csv.DictReader(file)}
    with (DATA / "measures.csv").open(newline="") as file:
        measured = {row["file"] for row in csv.DictReader(file)}
    others = corrections().keys() - held_out
    assert len(others) >= 40
    assert others <= measured - held_out


def test_polygons_name_regions_and_lie_in_the_picture() -> None:
    for one in (one for painted in corrections().values() for one in painted):
        assert one.region in REGIONS
        corners = torch.tensor(one.polygon)
        assert corners.ndim == 2
        assert len(corners) >= 3
        assert ((corners >= 0) & (corners <= 1)).all()
        x, y = corners.T
        assert (x * y.roll(-1) - y * x.roll(-1)).sum().abs() / 2 > 1e-5, "a line has no inside"


def test_every_polygon_counts() -> None:
    """Each one changes the map that it is painted on, so none is left over from an earlier look."""
    with np.load(DATA / "regions.npz") as arrays:
        measured = dict(zip(arrays["names"].tolist(), arrays["regions"], strict=True))
    for name, painted in corrections().items():
        before = torch.from_numpy(measured[name])
        for one in painted:
            after = paint(before, [one])
            assert not torch.equal(after, before), f"{one} changes nothing of {name}"
            before = after


def test_later_polygon_wins() -> None:
    empty = torch.zeros(4, 4, dtype=torch.uint8)
    painted = paint(empty, [Painted("hair", LEFT), Painted("ears", TOP)])
    hair, ears = number("hair"), number("ears")
    assert painted.tolist() == [[ears] * 4] * 2 + [[hair, hair, 0, 0]] * 2
    assert paint(empty, [Painted("ears", TOP), Painted("hair", LEFT)])[0].tolist() == [hair, hair, ears, ears]
    assert not empty.any(), "the measured map is left as it was"
    assert torch.equal(paint(empty, []), empty)


@pytest.mark.parametrize("feature", ["mouth", "eyebrows", "eyes", "nose"])
def test_skin_goes_around_features_and_hair_over_them(feature: str) -> None:
    measured = torch.full((2, 2), number("hair"), dtype=torch.uint8)
    measured[0, 0] = number(feature)
    assert paint(measured, [Painted("skin", TOP)])[0].tolist() == [number(feature), number("skin")]
    assert paint(measured, [Painted("hair", TOP)])[0].tolist() == [number("hair")] * 2


def test_overlap_is_intersection_over_union() -> None:
    right = torch.tensor([[[0, 0], [4, 4]]], dtype=torch.uint8)
    found = torch.tensor([[[0, 4], [4, 4]]], dtype=torch.uint8)
    shares = intersection_over_union(found, right, len(REGIONS))
    assert shares[0].item() == pytest.approx(1 / 2)
    assert shares[4].item() == pytest.approx(2 / 3)
    assert shares[[1, 2, 3, 5, 6, 7, 8]].isnan().all()


def folder_of(names: list[str], folder: Path) -> Path:
    """Drawn faces under these names."""
    (folder / "aligned").mkdir()
    for i, name in enumerate(names):
        drawn_face((35, 28, 25), i).save(folder / "aligned" / name)
    (folder / "manifest.csv").write_text("file,split,source\n" + "".join(f"{name},test,photo\n" for name in names))
    np.savez(folder / "landmarks.npz", landmarks=drawn_landmarks().expand(len(names), 68, 2).numpy() * SIZE)
    return folder


def test_rows_are_those_of_the_checked_photos(tmp_path: Path) -> None:
    checked = [name for name, painted in corrections().items() if painted][:2]
    with (DATA / "checked_attributes.csv").open(newline="") as file:
        other = next(row["file"] for row in csv.DictReader(file) if row["file"] not in corrections())
    faces = load_faces(folder_of([checked[1], other, checked[0]], tmp_path), "test")
    labels = load_labels(DATA, faces)
    rows, maps = checked_regions(faces, labels)
    assert rows.tolist() == [0, 2]
    for row, corrected, name in zip(rows, maps, reversed(checked), strict=True):
        assert torch.equal(corrected, paint(labels.regions[row], corrections()[name]))
        assert not torch.equal(corrected, labels.regions[row])


def test_no_photo_was_checked(tmp_path: Path) -> None:
    with (DATA / "checked_attributes.csv").open(newline="") as file:
        other = next(row["file"] for row in csv.DictReader(file) if row["file"] not in corrections())
    faces = load_faces(folder_of([other], tmp_path), "test")
    rows, maps = checked_regions(faces, load_labels(DATA, faces))
    assert len(rows) == 0
    assert maps.shape == (0, 128, 128)


def test_sheet_draws_borders_in_the_regions_colours(tmp_path: Path) -> None:
    photos = torch.full((7, 3, 8, 8), 100, dtype=torch.uint8)
    maps = torch.zeros(7, 4, 4, dtype=torch.uint8)
    maps[:, :, 2:] = number("mouth")
    pages = sheets(photos, maps, [f"{i}.jpg" for i in range(7)], tmp_path)
    assert [page.name for page in pages] == ["regions_1.png", "regions_2.png"]
    first, second = (np.asarray(Image.open(page)) for page in pages)
    assert first.shape == (2 * SIDE, 3 * SIDE, 3)
    assert second.shape == (SIDE, 3 * SIDE, 3)
    row = SIDE // 3
    assert first[row, SIDE // 2 - 1].tolist() == [255, 255, 255]
    assert first[row, SIDE // 2].tolist() == [255, 0, 0]
    assert abs(first[row, SIDE // 4 + 9].astype(int) - 123).max() <= 1, "the photo, 15 % white"


def test_command_writes_sheets_and_tells_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(list(corrections())[:2], tmp_path)
    module.main(["--faces", str(folder), "--out", str(tmp_path / "sheets")])
    assert [page.name for page in (tmp_path / "sheets").iterdir()] == ["regions_1.png"]
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("2 photos; ")
    assert [line.split()[0] for line in told[1:]] == list(REGIONS)
    faces = load_faces(folder, "test")
    labels = load_labels(DATA, faces)
    rows, maps = checked_regions(faces, labels)
    share = intersection_over_union(labels.regions[rows], maps, len(REGIONS))[number("ears")].item()
    assert 0 < share < 1
    assert told[1 + number("ears")].endswith(f"{100 * share:.1f} %")
