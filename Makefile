# `make edit` edits a photo; `make test` runs everything that continuous integration runs.
# Both set up .venv first, and only need Python 3.11 or later and make.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
OUT := edited

# Threads sleep while they wait for one another. Spinning makes an edit four times as slow where cores are shared.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: edit test lint types layers tests unhooked mutation docs figures clean

# One thread: pictures of 64 px are too small to share, and on a busy machine sharing them is far slower.
edit: $(READY)
	$(BIN)/python -c 'from pathlib import Path; from skimage import data, io; \
	  Path("$(OUT)").mkdir(exist_ok=True); io.imsave("$(OUT)/astronaut.png", data.astronaut())'
	OMP_NUM_THREADS=1 $(BIN)/maskedit edit $(OUT)/astronaut.png --set black_hair --out $(OUT) --force

test: lint types layers docs tests unhooked

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

tests: $(READY)
	$(BIN)/pytest

# The type-checking hook breaks torch.compile and meets bad input before our own checks do, so these run without it, in a process of their own.
unhooked: $(READY)
	$(BIN)/pytest -o addopts="--import-mode=importlib --strict-markers" -m unhooked tests

# Beside the suite: changes the code in a thousand places, each of which must make a test fail. Hours; ROOMS=losses for one.
mutation: $(READY)
	$(BIN)/python tests/mutation.py $(ROOMS)

# The site, in build/site; a link that leads nowhere is an error. (With --quiet it would be none.) The name silences a notice.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --site-dir build/site

# The figures in docs/, written again from the results of the benchmarks.
figures: $(READY)
	$(BIN)/python docs/figures.py

# Made anew when the requirements change; the stamp comes last, so a broken set-up is tried again.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[photo,plots,adapters,dev]'
	@touch $@

clean:
	rm -rf .venv $(OUT)
