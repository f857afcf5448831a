"""Writes the figures in the pages from the results of the benchmarks; with --check, says where they differ.

A table stands between two comments. The first names a file of results and gives each column's heading and format, which
is filled in from each of the file's rows:

    <!--figures: benchmarks/results/fewer-steps.json
    recipe | `{recipe}`
    seconds a face | {seconds:.1f}
    -->

    <!--/figures-->

``FILE.json:NAME`` takes the rows from there in place of ``rows``. A figure in a sentence is formatted
from the whole file: ``<!--figure: benchmarks/results/fewer-steps.json {rows[2][seconds]:.1f}-->5.4<!--/figure-->``.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from string import Formatter
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
TABLE = re.compile(
    r"(?P<head><!--figures: (?P<file>[^:\s]+)(?::(?P<name>\w+))?\n(?P<columns>.*?)\n-->)\n.*?(?P<tail><!--/figures-->)",
    re.DOTALL,
)
FIGURE = re.compile(r"(?P<head><!--figure: (?P<file>\S+)\s(?P<format>[^>]*)-->)[^<]*(?P<tail><!--/figure-->)")


def written(text: str) -> str:
    """A page's text, its figures as the results have them."""
    return FIGURE.sub(sentence, TABLE.sub(table, text))


def table(match: re.Match[str]) -> str:
    """The rows of a file of results as a Markdown table between its comments."""
    rows = read(match["file"])[match["name"] or "rows"]
    columns = [[part.strip() for part in line.split("|", 1)] for line in match["columns"].splitlines()]
    for heading, template in columns:
        if not any(has(row, template) for row in rows):
            raise KeyError(f"{match['file']} has nothing for the column {heading!r}: {template}")
    lines = [[heading for heading, _ in columns], ["---:" if ":" in template else "---" for _, template in columns]]
    lines += [[template.format(**row) if has(row, template) else "" for _, template in columns] for row in rows]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{match['head']}\n\n{body}\n\n{match['tail']}"


def sentence(match: re.Match[str]) -> str:
    """One figure in a sentence."""
    return match["head"] + match["format"].format(**read(match["file"])) + match["tail"]


def has(row: dict[str, Any], template: str) -> bool:
    """Whether a row has all that a template asks for; what was not measured is left out of it."""
    names = (name for _, name, _, _ in Formatter().parse(template) if name)
    return all(re.split(r"[.\[]", name)[0] in row for name in names)


def read(file: str) -> dict[str, Any]:
    """A file of results."""
    return json.loads((ROOT / file).read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page differs from the results")
    check = parser.parse_args().check
    differing = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if written(text) != text:
            differing.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(written(text), encoding="utf-8")
    if check and differing:
        sys.exit(f"figures differ from benchmarks/results in {', '.join(differing)}; `make figures` writes them")


if __name__ == "__main__":
    main()
