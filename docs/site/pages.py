"""Pages are written to be read in the repository; this makes the site of them, and a page of the API for each room."""

import ast
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
HIDDEN = re.compile(r"<!--.*?-->\n?", re.DOTALL)
LINK = re.compile(r"\]\((?P<path>\.\.?/[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def rooms() -> dict[str, str]:
    """The public modules and packages of maskedit: name -> the first line of its docstring."""
    package = ROOT / "maskedit"
    found = {path.stem: path for path in package.glob("*.py")}
    found |= {path.parent.name: path for path in package.glob("*/__init__.py")}
    return {
        name: (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        for name, path in sorted(found.items())
        if not name.startswith("_")
    }


def on_config(config: Any) -> None:
    """The API's pages follow the others."""
    config.nav.append({"API": ["api/index.md", *({name: f"api/{name}.md"} for name in rooms())]})


def on_files(files: Files, config: Any) -> None:
    """One page for each room, of its docstrings."""
    for name in rooms():
        text = f"# maskedit.{name}\n\n::: maskedit.{name}\n"
        files.append(File.generated(config, f"api/{name}.md", content=text))


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Hidden code goes; fences lose the mark of what is printed; links out of ``docs/`` lead to the repository."""
    if page.file.src_uri == "api/index.md":
        lines = ["| room | |", "|---|---|", *(f"| [{name}]({name}.md) | {line} |" for name, line in rooms().items())]
        markdown += "\n" + "\n".join(lines)
    folder = PurePosixPath("docs", page.file.src_uri).parent

    def absolute(match: re.Match[str]) -> str:
        target = (ROOT / folder / match["path"]).resolve().relative_to(ROOT)
        if target.parts[0] == "docs" and target.suffix != ".py":
            return match[0]
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"]({config.repo_url}/{kind}/main/{target.as_posix()}{match['anchor'] or ''})"

    return LINK.sub(absolute, HIDDEN.sub("", markdown).replace("```text printed", "```text"))
