"""Labels that somebody gave: attributes in a CSV file, regions as polygons in a JSON file; both only when asked for."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maskedit.attributes import REGIONS
from maskedit.errors import InputError
from maskedit.training import classifier, parser
from maskedit.training.faces import load_faces
from maskedit.training.given_attributes import GivenAttributes, read_attributes
from maskedit.training.given_regions import GivenRegions, Painted, read_regions


def test_given_attributes_stand_in_for_measured_ones_of_their_photos() -> None:
    table = GivenAttributes(("young", "big_nose"), {"me.jpg": (1.0, math.nan), "you.jpg": (0.0, 0.0)})
    known = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    found = table.over(known, ["me.jpg", "other.jpg"], ["smiling", "young", "big_nose"])
    assert found[0, :2].tolist() == [0.0, 1.0]
    assert math.isnan(found[0, 2])
    assert found[1].tolist() == [0.0, 1.0, 0.0] == known[0].tolist()
    assert table.of(["you.jpg"]).tolist() == [[0.0, 0.0]]
    with pytest.raises(InputError, match=r"lacks 1 of the photos; got no row for other.jpg"):
        table.of(["you.jpg", "other.jpg"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"photo,smiling\na,1\n", "names no photos; expected a CSV .*; got photo, smiling"),
        (b"file\na\n", "names no photos"),
        (b"", "names no photos; .* got nothing"),
        (b"file,smiling\na,2\n", "a label that is none; expected 1, 0, -1 or nothing; got 2"),
        (b"file,blue_hair\na,1\n", "there is no attribute 'blue_hair'; expected smiling"),
        (b"file,smiling\n\xff\xfe,1\n", "cannot be read"),
    ],
)
def test_attributes_that_are_none_get_a_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_attributes(tmp_path / "a.csv", known=["smiling"])
    with pytest.raises(InputError, match="none.csv cannot be read; .*No such file"):
        read_attributes(tmp_path / "none.csv")


def test_a_short_row_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,smiling,young\na,1\n")
    assert torch.equal(read_attributes(tmp_path / "a.csv").of(["a"]).isnan(), torch.tensor([[False, True]]))


def test_given_regions_are_painted_over_the_maps_of_their_photos() -> None:
    whole = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    given = GivenRegions({"b": [Painted("hair", whole)], "c": []})
    rows, maps = given.over(torch.zeros(3, 4, 4, dtype=torch.uint8), ["a", "b", "c"])
    assert rows.tolist() == [1, 2]
    assert maps.unique().tolist() == [0, REGIONS.index("hair")]
    assert not maps[1].any()
    rows, maps = given.over(torch.zeros(1, 4, 4, dtype=torch.uint8), ["a"])
    assert (len(rows), tuple(maps.shape)) == (0, (0, 4, 4))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{half", "cannot be read; expected .*region.*polygon"),
        ("[]", "cannot be read"),
        ('{"a": [{"region": "hair"}]}', "cannot be read; .* KeyError"),
        ('{"a": [{"region": "hair", "polygon": [[0, 1, 2]]}]}', "cannot be read"),
        ('{"a": [{"region": "hat", "polygon": [[0, 1]]}]}', "a region that is not there, on 'a'; .* got 'hat'"),
    ],
)
def test_regions_that_are_none_get_a_sentence(content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_regions(tmp_path / "r.json")


def weights_of(
    main: object, faces: Path, labels: Path, out: Path, *more: str, names: str = "average/"
) -> dict[str, torch.Tensor]:
    arguments = ["--faces", str(faces), "--labels", str(labels), "--steps", "1", "--batch", "4", "--out", str(out)]
    main.main([*arguments, *more])  # type: ignore[attr-defined]
    found = load_file(out / "checkpoint.safetensors")
    return {key: value for key, value in found.items() if key.startswith(names)}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_classifier_learns_what_was_seen_if_it_is_told_to(
    drawn_faces: Path, drawn_labels: Path, tmp_path: Path
) -> None:
    photos = load_faces(drawn_faces, "train").names
    (tmp_path / "seen.csv").write_text("file,young\n" + "".join(f"{photo},1\n" for photo in photos))
    (tmp_path / "none.csv").write_text("file,young\n")
    runs = {
        name: weights_of(classifier, drawn_faces, drawn_labels, tmp_path / str(i), "--variants", "1", *more)
        for i, (name, more) in enumerate(
            {
                "measured": [],
                "seen": ["--seen", str(tmp_path / "seen.csv")],
                "no photo": ["--seen", str(tmp_path / "none.csv")],
            }.items()
        )
    }
    assert same(runs["measured"], runs["no photo"])
    assert not same(runs["measured"], runs["seen"])


def test_a_parser_learns_what_was_corrected_if_it_is_told_to(
    drawn_faces: Path, drawn_labels: Path, tmp_path: Path
) -> None:
    whole = [[0, 0], [1, 0], [1, 1], [0, 1]]
    painted = {photo: [{"region": "hair", "polygon": whole}] for photo in load_faces(drawn_faces, "train").names}
    (tmp_path / "checked.json").write_text(json.dumps(painted))
    (tmp_path / "none.json").write_text("{}")
    measured = weights_of(parser, drawn_faces, drawn_labels, tmp_path / "0")
    none = weights_of(parser, drawn_faces, drawn_labels, tmp_path / "1", "--checked", str(tmp_path / "none.json"))
    checked = weights_of(parser, drawn_faces, drawn_labels, tmp_path / "2", "--checked", str(tmp_path / "checked.json"))
    assert same(measured, none)
    assert not same(measured, checked)
