# make install   a virtual environment in .venv with what the quick profile needs
# make run       install if needed, then the main job
# make test      install if needed, then every test
# make lint      style, formatting, types
# make bench     engines against stock ones, the loop at 1, 64 and 1,000 episodes, start-up,
#                an update from whole transcripts against one row per step
# make docs      the generated pages in docs/, the tables of the leaderboard, the site in site/
#
# PYTHON, VENV and ARGS can be set: make run ARGS="--seeds 3", make test ARGS="-k config"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
PLUGINS := -e plugins/alfworld -e plugins/webshop -e plugins/searchqa \
	-e "plugins/policies[hf,openai]" -e plugins/memory \
	-e "plugins/methods[train]"

.PHONY: install dev run test lint bench docs clean

install: $(VENV)/.installed
dev: $(VENV)/.dev

run: install
	$(BIN)/skillbench run --method skillrl --env alfworld $(ARGS)

test: dev
	$(BIN)/python -m pytest $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python plugins/alfworld/bench.py $(ARGS)
	$(BIN)/python plugins/webshop/bench.py
	$(BIN)/python plugins/searchqa/bench.py
	$(BIN)/python bench/harness.py
	$(BIN)/python plugins/methods/bench.py

docs: dev
	$(BIN)/python -m skillbench.docs docs
	$(BIN)/skillbench leaderboard build
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "skillbench needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps are what makes a second time instant: they are newer than every pyproject.toml.
$(VENV)/.installed: $(PROJECTS) constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): torch first (the large one), then skillbench and its plugins"
	$(PIP) torch
	$(PIP) -e ".[pages]" $(PLUGINS)
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) -e ".[dev]"
	@touch $@
