"""The paper's tables as commands: pictures are kept and gone on from, rows are cached, bad folders are refused."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow

import maskedit as me
from benchmarks.paper import __main__ as paper
from benchmarks.paper import comparison as table
from benchmarks.paper.ablation import ablated, ablation
from benchmarks.paper.pictures import edited_pictures, read_originals, write_picture
from maskedit.editors import Capabilities, Edited
from maskedit.errors import InputError


class Darkening:
    """Changes pictures in the plainest way; counts how often it is asked, and for what."""

    name = "Darkening"
    capabilities = Capabilities(("smiling", "young"), True, True, True, False, False, 64)

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []

    def edit(self, images, edit, seeds):
        (target,) = edit.attributes.values()
        self.asked.append((len(images), target))
        return Edited(images * 0.5, self.capabilities, 0.25 * len(images))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "faces"
    made.mkdir()
    random = torch.Generator().manual_seed(0)
    for i in range(24):
        write_picture(made / f"face{i}.png", torch.rand(3, 64, 64, generator=random))
    return made


def test_edits_are_made_once_and_gone_on_from(folder, tmp_path) -> None:
    originals = read_originals(folder, 64, 5, needed=5)
    has, editor = torch.tensor([True, False, False, True, False]), Darkening()
    pictures, seconds = edited_pictures(editor, originals, "smiling", has, tmp_path / "out", batch=2)
    torch.testing.assert_close(pictures, originals.images * 0.5, atol=0.51 / 255, rtol=0)
    assert editor.asked == [(2, 1), (1, 1), (2, 0)]  # those without it gain it, the others lose it
    assert seconds == pytest.approx(0.25)
    (tmp_path / "out" / f"{originals.names[1]}.png").unlink()
    again, _ = edited_pictures(editor, originals, "smiling", has, tmp_path / "out", batch=2)
    assert editor.asked[3:] == [(1, 1)]
    assert torch.equal(again, pictures)


def test_table3_prints_every_editor_and_keeps_its_rows(folder, tmp_path, monkeypatch, capsys) -> None:
    editor = Darkening()
    monkeypatch.setattr(paper.editors, "make_editors", lambda options, models: {"darkening": editor})
    arguments = ["table3", "--faces", str(folder), "--out", str(tmp_path / "out"), "--resamples", "20", "--batch", "9"]
    assert paper.main(arguments) == 0
    text = capsys.readouterr().out
    assert "24 faces; every attribute inverted" in text
    (line, capability) = (row for row in text.splitlines() if row.startswith("| Darkening"))
    assert line.split("|")[2].strip() == "1"  # of Table I it knows smiling alone
    assert capability.endswith("| 64 px |")
    kept = json.loads((tmp_path / "out" / "table3" / "darkening.json").read_text())
    assert kept["attributes"] == ["smiling"]
    for value, low, high in (kept["numbers"][key] for key in table.COLUMNS):
        assert low <= value <= high
    assert kept["numbers"]["frechet"][0] == pytest.approx(kept["by_attribute"]["frechet"]["smiling"])
    calls = len(editor.asked)
    assert paper.main(arguments) == 0
    assert capsys.readouterr().out == text
    assert len(editor.asked) == calls


def test_figure6_shows_what_is_there(folder, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(paper.editors, "make_editors", lambda options, models: {"darkening": Darkening()})
    arguments = ["figure6", "--faces", str(folder), "--out", str(tmp_path / "out"), "--count", "2"]
    assert paper.main(arguments) == 0
    assert capsys.readouterr().out.startswith("2 sheets in")
    first, _ = sorted((tmp_path / "out" / "figure6").glob("*.png"))
    with Pillow.open(first) as sheet:
        sheet.load()
    left, right = (torch.tensor(list(sheet.crop((x, 30, x + 100, 130)).tobytes())).float() for x in (110, 238))
    assert float((left * 0.5 - right).abs().mean()) < 1  # the original, and beside it the same at half its light


def test_an_ablation_leaves_out_what_it_says() -> None:
    whole = me.recipes.fast("wavy_hair")
    assert str(ablated(me.recipes.fast, shape=True, detail=True)("wavy_hair")) == str(whole)
    names = [[term.name for term in stage.terms] for stage in whole]
    assert any(name.endswith("_shape") for stage in names for name in stage)
    bare = ablated(me.recipes.fast, shape=False, detail=False)("wavy_hair")
    assert [stage.name for stage in bare] == [stage.name for stage in whole][:-1]
    assert not any(term.name.endswith("_shape") for stage in bare for term in stage.terms)
    assert [editor.name for editor in ablation(me.load()).values()][-1] == "+ shape term (complete)"


def test_what_gives_no_table_is_said(folder, tmp_path, capsys) -> None:
    out = ["--out", str(tmp_path / "out")]
    for path in list(folder.glob("*.png"))[:10]:
        path.unlink()
    assert paper.main(["table3", "--faces", str(folder), "--editors", "maskfacegan", *out]) == 1
    assert "too few faces in" in (said := capsys.readouterr().err)
    assert "expected at least 20 for this table; got 14" in said
    assert paper.main(["table3", "--faces", str(folder), *out]) == 1
    assert "--stargan is not given; expected a file. Or leave it out of --editors." in capsys.readouterr().err
    assert paper.main(["table3", "--faces", str(folder), "--editors", "paint", *out]) == 1
    assert "no editor is called 'paint'" in capsys.readouterr().err
    Pillow.new("RGB", (64, 32)).save(folder / "wide.png")
    with pytest.raises(InputError, match=r"wide.png is not square; expected an aligned face; got 64 x 32 px"):
        read_originals(folder, 64, 99, needed=1)
