"""The code in README.md and docs/ runs, and their links lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [path for place in ("*.md", "docs/**/*.md", "benchmarks/**/*.md") for path in sorted(ROOT.glob(place))]
HOME = re.compile(r"https://github\.com/maskedit/maskedit/(?:blob|tree|raw)/main/")

# A fence of three or more backticks, perhaps indented, closed by the same: code, or "text printed", which the code
# before it prints. Or code that readers need not see, in a comment that opens with "<!--python".
BLOCK = re.compile(
    r"^(?P<indent>[ ]*)(?P<fence>`{3,})(?P<kind>python|text printed)[^\n]*\n(?P<body>.*?)^(?P=indent)(?P=fence)[ ]*$"
    r"|^<!--python\n(?P<hidden>.*?)^-->",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(text: str) -> list[tuple[str, int, str]]:
    """(kind, number of lines before it, content) of each block, indentation of the fence removed."""
    found = []
    for match in BLOCK.finditer(text):
        group = "body" if match["kind"] else "hidden"
        content = re.sub(f"^{match['indent'] or ''}", "", match[group], flags=re.MULTILINE)
        found.append((match["kind"] or "python", text.count("\n", 0, match.start(group)), content))
    return found


def run(path: Path) -> None:
    """Run a document's blocks in order, in one namespace; a traceback names the document's own lines."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for kind, line, content in blocks(path.read_text(encoding="utf-8")):
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile("\n" * line + content, str(path), "exec"), namespace)
            printed = out.getvalue()
        else:
            assert printed.rstrip() == content.rstrip(), f"{path.name}, line {line}: what the code prints has changed"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "examples")  # the pages use examples/toy_models.py
    return tmp_path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_code_runs(path: Path, elsewhere: Path) -> None:
    run(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    targets = [HOME.sub(f"{ROOT}/", target) for target in LINK.findall(text)]
    targets = [target for target in targets if not target.startswith(("http://", "https://", "#"))]
    assert [target for target in targets if not (path.parent / target.split("#")[0]).exists()] == []


def test_readme_can_be_read_anywhere() -> None:
    """A package index shows README alone, so its links and pictures begin with an address."""
    text = BLOCK.sub("", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [target for target in LINK.findall(text) if not target.startswith("https://")] == []
    assert text.splitlines()[2].strip().startswith("pip install")


def test_blocks_share_a_namespace_and_hidden_ones_count(elsewhere: Path) -> None:
    path = elsewhere / "page.md"
    path.write_text(
        "<!--python\nimport pathlib\na = 1\n-->\n```python\nb = a + 1\n```\n```text\nnot python\n```\n"
        "- item\n  ```python\n  if b:\n      pathlib.Path('made').write_text(str(b))\n  ```\n"
    )
    run(path)
    assert (elsewhere / "made").read_text() == "2"


def test_a_failing_block_is_named_by_its_line(elsewhere: Path) -> None:
    path = elsewhere / "page.md"
    path.write_text("Title\n\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as failure:
        run(path)
    assert failure.traceback[-1].lineno == 4  # counted from 0


def test_what_a_page_says_is_printed_must_be(elsewhere: Path) -> None:
    path = elsewhere / "page.md"
    path.write_text("```python\nprint('one')\nprint('two')\n```\n```text printed\none\ntwo\n```\n")
    run(path)
    path.write_text("```python\nprint('one')\n```\nwhich prints\n```text printed\ntwo\n```\n")
    with pytest.raises(AssertionError, match="line 5"):
        run(path)
