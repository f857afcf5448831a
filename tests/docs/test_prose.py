"""Pages read easily: short cells, and no figure that somebody typed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [path for place in ("*.md", "docs/**/*.md", "benchmarks/**/*.md") for path in sorted(ROOT.glob(place))]
NOTES = ROOT / "docs/decisions"  # their figures are those of their day
CODE = re.compile(r"^ *```.*?^ *```|`[^`]*`", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(r"<!--(?P<kind>figures?): .*?<!--/(?P=kind)-->|<!--.*?-->", re.DOTALL)
# A number with a unit that a benchmark measures. Pixels, sizes of models and numbers of steps are facts of the design.
FIGURE = re.compile(r"(?<![\w.])\d[\d.,]*\s?(?:ms|s|seconds|minutes|hours|GB|MB|dB|GFLOP|%)(?![\w/])")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_cell_is_an_essay(page: Path) -> None:
    text = HIDDEN.sub("", page.read_text(encoding="utf-8"))
    cells = [cell.strip() for line in text.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert [cell for cell in cells if len(cell) > 160] == []


@pytest.mark.parametrize("page", [page for page in PAGES if NOTES not in page.parents], ids=name)
def test_figures_come_from_results(page: Path) -> None:
    """Between the marks of docs/figures.py, that is."""
    text = CODE.sub("", HIDDEN.sub("", page.read_text(encoding="utf-8")))
    assert FIGURE.findall(text) == []


@pytest.mark.parametrize("note", sorted(NOTES.glob("2*.md")), ids=name)
def test_notes_are_dated_and_listed(note: Path) -> None:
    date = note.name[:10]
    assert re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", date)
    assert note.read_text(encoding="utf-8").splitlines()[2].startswith(f"{date}.")
    assert f"({note.name})" in (NOTES / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["takes 5.4 s a face", "1.57 GB", "in 12 minutes", "81 % of them", "24.0 dB"])
def test_a_typed_figure_is_seen(text: str) -> None:
    assert FIGURE.search(text)


@pytest.mark.parametrize("text", ["64 px", "220 steps", "1,203 faces", "512 channels", "[0, 1]", "smoothing 0.05"])
def test_what_is_no_measurement_is_let_be(text: str) -> None:
    assert not FIGURE.search(text)
