"""The notebooks run from top to bottom, and show what they end their cells with."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))


def run(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """The variables that a notebook leaves, and the value that each code cell shows."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] != "code":
            continue
        code = ast.parse("".join(cell["source"]), filename=f"{path.name}, cell {number}")
        last = code.body.pop() if isinstance(code.body[-1], ast.Expr) else None
        exec(compile(code, path.name, "exec"), namespace)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), path.name, "eval"), namespace))
    return namespace, shown


def test_edit_a_face_shows_pictures_and_reaches_its_targets() -> None:
    (path,) = NOTEBOOKS
    left, shown = run(path)
    assert sum(isinstance(value, Image.Image) for value in shown) == 2
    assert left["edited"].attributes["black_hair"][1] > 0.5
    assert left["after"] < left["before"]
    assert all("<" in left[name]._repr_html_() for name in ("schedule", "result"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_committed_outputs_hold_no_error(path: Path) -> None:
    outputs = [output for cell in json.loads(path.read_text())["cells"] for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
