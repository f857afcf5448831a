"""Figures of models and edits: known values on answers that are known, and the table that shows them."""

import json
import math
from functools import partial

import pytest
import torch
from PIL import Image

from benchmarks.faces import edits as module
from benchmarks.faces.blends import KINDS, against, blends
from benchmarks.faces.edits import HEAD, Fits, edits, eligible, kin
from benchmarks.faces.models import FEWEST, accuracies, region_figures
from benchmarks.faces.photos import spread
from benchmarks.faces.tables import Table
from maskedit.attributes import HAIR_COLOURS, REGIONS
from maskedit.models.weights.bundled import load, load_embedding
from maskedit.problem import Problem
from maskedit.recipes import plausible
from maskedit.solve import run
from maskedit.training.faces import Faces
from maskedit.training.labels import Labels


def faces(count: int, size: int = 64) -> Faces:
    """Pictures of noise, smooth enough to be parsed."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=random)
    images = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1).mul(255).byte()
    return Faces(tuple(map(str, range(count))), images, torch.rand(count, 68, 2, generator=random), [False] * count)


def test_table_shows_and_tells_the_same() -> None:
    table = Table("Figures", ("of", "a", "b"), (("one", 3, 0.123456), ("two", math.nan, 27.0)))
    lines = str(table).splitlines()
    assert lines[0] == "Figures:"
    assert lines[2:] == ["| of | a | b |", "| --- | ---: | ---: |", "| one | 3 | 0.1235 |", "| two | – | 27 |"]
    found = json.loads(json.dumps(table.json()))
    assert found == {
        "title": "Figures",
        "rows": [{"of": "one", "a": 3, "b": 0.123456}, {"of": "two", "a": None, "b": 27}],
    }


def test_spread_covers_all_photos() -> None:
    photos = faces(10)
    assert spread(photos, None).names == photos.names
    assert spread(photos, 99).names == photos.names
    few = spread(photos, 3)
    assert few.names == ("0", "3", "6")
    assert torch.equal(few.images[1], photos.images[3])
    assert torch.equal(few.landmarks[2], photos.landmarks[6])


def test_accuracy_needs_enough_of_both() -> None:
    wanted = torch.full((12, 2), 0.0)
    wanted[:FEWEST, 0], wanted[: FEWEST - 1, 1] = 1.0, 1.0
    logits = torch.where(wanted > 0, 1.0, -1.0)
    logits[0] = -1  # one of those present is missed
    shares = accuracies(logits, wanted, torch.ones(12, dtype=torch.bool))
    assert float(shares[0]) == pytest.approx((1 + (FEWEST - 1) / FEWEST) / 2)
    assert shares[1].isnan()


def test_parser_is_measured_against_the_corrected_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that is right but for a corner, where it says ears."""
    photos, size = faces(4, 128), 128
    right = torch.zeros(2, size, size, dtype=torch.uint8)
    right[:, 64:] = REGIONS.index("skin")

    class Known:
        regions = REGIONS

        def parse(self, image: torch.Tensor, regions: tuple[str, ...]) -> torch.Tensor:
            said = right.long()
            said[:, :32, :64] = REGIONS.index("ears")
            return torch.nn.functional.one_hot(said, len(REGIONS)).permute(0, 3, 1, 2).float()

    monkeypatch.setattr("benchmarks.faces.models.checked_regions", lambda faces, labels: (torch.tensor([1, 3]), right))
    measured = right.new_zeros(4, size, size)
    labels = Labels(measured, torch.zeros(4, 3), torch.ones(4, dtype=torch.bool), torch.zeros(4, 16))
    rows = {row["region"]: row for row in region_figures(Known(), photos, labels).json()["rows"]}
    assert rows["background"]["parser, photos at 64 px"] == pytest.approx(0.75)
    assert rows["background"]["measured maps"] == pytest.approx(0.5)
    assert rows["skin"]["parser, photos at 128 px"] == 1
    assert rows["skin"]["measured maps"] == 0
    assert rows["ears"]["parser, photos at 128 px"] == 0
    assert rows["hair"]["parser, photos at 128 px"] is None
    assert rows["mean"]["parser, photos at 128 px"] == pytest.approx(1.75 / 3)


def test_edits_go_where_they_have_something_to_do() -> None:
    known = torch.tensor([1.0, 0.0, torch.nan, 0.0, 1.0, 0.0])
    assert sorted(eligible(known, 1, None)) == [1, 3, 5]
    assert sorted(eligible(known, 0, None)) == [0, 4]
    assert eligible(known, 1, 2) == eligible(known, 1, None)[:2]


def test_what_excludes_an_attribute_may_change() -> None:
    known = (*HAIR_COLOURS, "smiling", "wavy_hair")
    assert kin("blond_hair", known) == [0, 1, 2, 3]
    assert kin("smiling", known) == [4]


def test_fits_once_and_ends_as_the_whole_schedule_does(monkeypatch: pytest.MonkeyPatch) -> None:
    models = load("portraits")
    photos = faces(2, models.generator.resolution).images.float() / 255
    schedule = plausible("smiling", steps=(3, 3))
    fits = Fits(models, photos)
    codes, rest = fits.latents(schedule, [1, 0])
    whole = run(Problem(models, photos, "smiling", start="encoder"), schedule)
    parted = run(Problem(models, photos[[1, 0]], "smiling", start=codes), rest)
    torch.testing.assert_close(parted.image, whole.image[[1, 0]], atol=1e-4, rtol=0)
    monkeypatch.setattr(module, "run", None)  # no more fits
    again, _ = fits.latents(plausible("black_hair", steps=(3, 5)), [0])
    torch.testing.assert_close(again[0], codes[1])


def test_edits_of_noise(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The table has a row for each edit that has faces; a judge that always agrees sees success and no change."""
    models = load("portraits")
    photos = faces(3, models.generator.resolution)
    assert models.classifier is not None
    known = torch.full((3, len(models.classifier.attributes)), torch.nan)
    known[:, models.classifier.attributes.index("smiling")] = torch.tensor([0.0, 0.0, 1.0])

    class Agrees:
        attributes = ("smiling", "big_nose")

        def classify(self, image: torch.Tensor, attributes: tuple[str, ...]) -> torch.Tensor:
            return torch.ones(len(image), len(attributes))

    monkeypatch.setattr(module, "plausible", partial(plausible, steps=(1, 2)))
    table = edits(models, Agrees(), load_embedding(), photos, known, batch=2, out=tmp_path)
    assert [row[:4] for row in table.rows[:2]] == [("smiling set", 2, 1.0, 1.0), ("smiling removed", 1, 0.0, 0.0)]
    assert table.head == HEAD
    assert len(table.rows) == 3
    for row in table.rows[:2]:
        figures = dict(zip(HEAD, row, strict=True))
        assert figures["others flipped"] == figures["others moved"] == 0
        assert 0 < figures["identity distance"] < 1
        assert 3 < figures["PSNR outside"] < 40
    assert [file.name for file in tmp_path.iterdir()] == ["smiling.png"]


def test_slopes_are_compared_where_asked() -> None:
    photo = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    left = torch.zeros(2, 1, 16, 16)
    left[..., :6] = 1
    gray = torch.full_like(photo, 0.5)
    torch.testing.assert_close(against(photo, photo, left), torch.ones(2))
    torch.testing.assert_close(against(0.5 * photo, photo, left), torch.full((2,), 0.5))
    half = torch.where(torch.arange(16) < 8, gray, photo)  # what lies to the right is not looked at
    torch.testing.assert_close(against(half, photo, left), torch.zeros(2), atol=1e-6, rtol=0)
    assert against(photo, photo, 0 * left).isnan().all()


def test_blends_of_noise(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Each way has a row and a strip on the sheet; adding the change keeps more of a photo than pasting."""
    models = load("portraits")
    photos = faces(2, 2 * models.generator.resolution)
    assert models.classifier is not None
    known = torch.zeros(2, len(models.classifier.attributes))
    monkeypatch.setattr("benchmarks.faces.blends.plausible", partial(plausible, steps=(1, 2)))
    table = blends(models, photos, known, attributes=("smiling",), out=tmp_path)
    assert [row[0] for row in table.rows] == [
        f"smiling, {kind}" + " (the recipe's)" * (kind == "redraw") for kind in KINDS
    ]
    detail = {kind: row[1] for kind, row in zip(KINDS, table.rows, strict=True)}
    assert detail["change"] == pytest.approx(1, abs=0.2)
    assert float(detail["paste"]) != pytest.approx(1, abs=0.2)
    with Image.open(tmp_path / "blends_smiling.png") as picture:
        assert picture.size == (2 * 128, 6 * 128)
