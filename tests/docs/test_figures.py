"""The figures in the pages are those of benchmarks/results."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks/results").glob("*.json"))


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    """docs/figures.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs/figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_show_the_results(figures: ModuleType) -> None:
    for page in figures.PAGES:
        text = page.read_text(encoding="utf-8")
        assert text == figures.written(text), f"{page.name}: `make figures` writes its figures again"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_results_say_where_they_come_from(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    assert {"command", "machine", "versions", "date"} <= result.keys()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_results_are_shown(path: Path, figures: ModuleType) -> None:
    assert any(f"benchmarks/results/{path.name}" in page.read_text(encoding="utf-8") for page in figures.PAGES)


@pytest.fixture
def page(figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A page beside results of three rows, one of which lacks a figure."""
    rows = [{"name": "a", "time": 1.25}, {"name": "b"}, {"name": "c", "time": 3}]
    (tmp_path / "result.json").write_text(json.dumps({"rows": rows, "best": {"time": 0.5}}))
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    return (
        "<!--figures: result.json\nwho | `{name}`\nseconds | {time:.1f}\n-->\n\nold\n\n<!--/figures-->\n"
        "At best <!--figure: result.json {best[time]:.2f}-->9<!--/figure--> seconds.\n"
    )


def test_a_page_is_written(figures: ModuleType, page: str) -> None:
    text = figures.written(page)
    assert "| who | seconds |\n| --- | ---: |\n| `a` | 1.2 |\n| `b` |  |\n| `c` | 3.0 |\n" in text
    assert "-->0.50<!--" in text
    assert "old" not in text
    assert figures.written(text) == text


def test_a_column_that_no_row_has_is_an_error(figures: ModuleType, page: str) -> None:
    with pytest.raises(KeyError, match="seconds"):
        figures.written(page.replace("{time:.1f}", "{tim:.1f}"))
