"""The site builds without a warning, needs nothing from elsewhere, and documents what can be imported."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import maskedit
from maskedit import losses

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(https?://[^\s\">]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert LOADED.findall(page.read_text(encoding="utf-8")) == [], page


def test_each_loss_has_its_forward(site: Path) -> None:
    page = (site / "api/losses/index.html").read_text(encoding="utf-8")
    assert [name for name in losses.__all__ if f'id="maskedit.losses.{name}.forward"' not in page] == []


def test_every_public_name_has_an_entry(site: Path) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in site.glob("api/*/index.html"))
    found = set(re.findall(r'id="maskedit\.(?:\w+\.)*(\w+)"', pages))
    rooms = {page.parent.name for page in site.glob("api/*/index.html")}
    assert set(maskedit.__all__) - found - rooms == set()
