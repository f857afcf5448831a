"""Attributes checked by eye: the table's form, its loader, and the sheets of drawn faces under checked names."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.faces import DATA, checked
from benchmarks.faces.checked import CHECKED, SIDE, checked_attributes, order, sheets, view
from benchmarks.faces.photos import labelled_faces
from maskedit.attributes import ATTRIBUTE_REGIONS, HAIR_COLOURS, HAIR_SHAPES
from maskedit.errors import InputError
from maskedit.training.faces import load_faces
from maskedit.training.labels import labels_from, load_labels
from maskedit.training.measured_attributes import MEASURES
from tests.training.drawn import SIZE, drawn_face, drawn_landmarks


def table() -> list[dict[str, str]]:
    with (DATA / "checked_attributes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_of_210_photos_was_checked_once() -> None:
    names = [row["file"] for row in table()]
    assert len(names) == len(set(names)) == 210
    with (DATA / "measures.csv").open(newline="") as file:
        measured = {row["file"] for row in csv.DictReader(file)}
    assert measured.issuperset(names)


def test_checked_photos_are_the_held_out_ones() -> None:
    manifest = Path(__file__).parents[3] / "shared/faces/manifest.csv"
    if not manifest.exists():
        pytest.skip("needs the shared photos' manifest")
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    later = {row["file"] for row in rows if "T2I" in row["source"]}  # came to the folder when the others were checked
    held_out = [row["file"] for row in rows if row["split"] == "test" and row["file"] not in later]
    assert [row["file"] for row in table()] == held_out


def test_values_are_present_absent_or_empty() -> None:
    rows = table()
    assert set(rows[0]) == {"file", *CHECKED}
    assert {value for row in rows for name, value in row.items() if name != "file"} == {"1", "0", ""}


@pytest.mark.parametrize("attribute", CHECKED)
def test_each_attribute_is_there_and_not_there(attribute: str) -> None:
    values = checked_attributes([row["file"] for row in table()], [attribute])
    assert (values == 1).sum() >= 10
    assert (values == 0).sum() >= 25


@pytest.mark.parametrize("kind", [HAIR_COLOURS, HAIR_SHAPES])
def test_hair_has_one_colour_and_shape_at_most(kind: tuple[str, ...]) -> None:
    values = checked_attributes([row["file"] for row in table()], kind)
    present = (values == 1).sum(1)
    assert present.max() == 1
    assert not values[present == 1].isnan().any(), "the one that is there rules out the others"


def test_loaded_values_follow_names_and_attributes() -> None:
    rows = table()[::-7]
    names, attributes = [row["file"] for row in rows], ["young", "smiling"]
    expected = torch.tensor([[float(row[name] or "nan") for name in attributes] for row in rows])
    torch.testing.assert_close(checked_attributes(names, attributes), expected, equal_nan=True)
    assert checked_attributes([], attributes).shape == (0, 2)
    assert checked_attributes(names, []).shape == (len(names), 0)


def test_all_of_table_one_was_checked() -> None:
    assert set(CHECKED) == {*ATTRIBUTE_REGIONS, "young", "pale_skin"}


def test_unknown_photo_and_attribute() -> None:
    known = table()[0]["file"]
    with pytest.raises(InputError, match=r"photo 'me\.jpg' was not checked by eye"):
        checked_attributes([known, "me.jpg"], ["smiling"])
    with pytest.raises(InputError, match="attribute 'bald' was not checked by eye; expected one of blond_hair"):
        checked_attributes([known], ["smiling", "bald"])


def test_view_shows_the_mouth(drawn_faces: Path) -> None:
    """The drawn lips are the reddest there is: they fill the middle of the view."""
    faces = load_faces(drawn_faces, "test")
    red, green = view(faces, "smiling")[:, :2].float().unbind(1)
    middle = slice(SIDE // 2 - 8, SIDE // 2 + 8)
    assert ((red - green)[:, middle, middle] > 80).float().mean() > 0.95
    whole = view(faces, "young").float()
    shrunk = torch.nn.functional.interpolate(faces.images.float(), size=SIDE, mode="area")
    assert (whole - shrunk).abs().mean() < 6


def test_order_is_that_of_the_measure() -> None:
    measures = torch.rand(9, len(MEASURES), generator=torch.Generator().manual_seed(0)) * 50
    labels = labels_from(torch.zeros(9, 4, 4, dtype=torch.uint8), measures)
    smiles = measures[order(labels, "smiling"), MEASURES.index("smile")]
    assert (smiles.diff() > 0).all()
    assert order(labels, "young").tolist() == list(range(9))
    assert sorted(order(labels, "gray_hair").tolist()) == list(range(9))


def test_sheet_shows_each_picture_in_its_place(tmp_path: Path) -> None:
    pictures = torch.arange(70, dtype=torch.uint8)[:, None, None, None].expand(70, 3, SIDE, SIDE).contiguous()
    values = torch.tensor([1.0, 0.0, torch.nan]).repeat(24)[:70]
    pages = sheets(pictures, values, torch.arange(70).flip(0), tmp_path / "brows.png")
    assert [page.name for page in pages] == ["brows_1.png", "brows_2.png"]
    first, second = (np.asarray(Image.open(page)) for page in pages)
    assert first.shape[0] == 6 * second.shape[0]
    assert (first[18 : 18 + SIDE, :SIDE] == 69).all()
    assert (first[18 : 18 + SIDE, SIDE + 2 : 2 * SIDE + 2] == 68).all()
    assert (second[18 : 18 + SIDE, :SIDE] == 9).all()
    number = first[:18, :40].reshape(-1, 3).astype(int)  # 69: value 1, green
    assert (number[:, 1] - number[:, 0]).max() > 80


def test_command_writes_sheets_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Drawn faces under the names of three checked photos."""
    names = [row["file"] for row in table()[:3]]
    (tmp_path / "aligned").mkdir()
    for i, name in enumerate(names):
        drawn_face((35, 28, 25), i).save(tmp_path / "aligned" / name)
    (tmp_path / "manifest.csv").write_text("file,split,source\n" + "".join(f"{name},test,photo\n" for name in names))
    np.savez(tmp_path / "landmarks.npz", landmarks=drawn_landmarks().expand(3, 68, 2).numpy() * SIZE)
    checked.main(["--faces", str(tmp_path), "--out", str(tmp_path / "sheets")])
    assert {page.name for page in (tmp_path / "sheets").iterdir()} == {f"{name}_1.png" for name in CHECKED}
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told] == list(CHECKED)
    smiling = checked_attributes(names, ["smiling"])
    counts = f"{(smiling == 1).sum()} present, {(smiling == 0).sum()} absent, {smiling.isnan().sum()} not to be said"
    assert counts in told[CHECKED.index("smiling")]
    gray = checked_attributes(names, ["gray_hair"])
    measured = load_labels(DATA, load_faces(tmp_path, "test")).attributes(["gray_hair"])
    differ, both = ((gray + measured) == 1).sum(), (~(gray + measured).isnan()).sum()
    assert 2 * differ != both, "else as many agree, and a wrong count would pass"
    assert f"{differ} of {both} differ from the measured label" in told[CHECKED.index("gray_hair")]


def test_photos_without_labels_are_left_out_of_studies(tmp_path: Path) -> None:
    """Unless the folder is another one altogether."""
    known = [row["file"] for row in table()][:2]
    for folder, names, found in (
        ("shared", [known[1], "new.png", known[0]], (known[1], known[0])),
        ("other", ["a.png", "b.png"], ("a.png", "b.png")),
    ):
        place = tmp_path / folder
        (place / "aligned").mkdir(parents=True)
        for name in names:
            drawn_face((35, 28, 25), 0).save(place / "aligned" / name)
        (place / "manifest.csv").write_text("file,split,source\n" + "".join(f"{name},test,photo\n" for name in names))
        np.savez(place / "landmarks.npz", landmarks=drawn_landmarks().expand(len(names), 68, 2).numpy() * SIZE)
        assert labelled_faces(place, "test").names == found
