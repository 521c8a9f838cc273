# Needs Python >= 3.11, make and the Python package index. `make chat` and `make test` are all that a newcomer needs.

PYTHON ?= python3
MODEL ?=
PEER ?=
VENV := .venv
BIN := $(VENV)/bin
# On a terminal pip shows what it fetches, with bars; elsewhere only what goes wrong.
TERMINAL := $(shell test -t 2 && echo yes)
PIP := $(BIN)/python -m pip $(if $(TERMINAL),,--quiet) --disable-pip-version-check --no-input
PYTEST ?= -n 3
# The test models are fetched once, to where `llamachat pull` keeps models, or to $LLAMACHAT_MODELS.
export PIP_PROGRESS_BAR ?= $(if $(TERMINAL),on,off)

.PHONY: chat test lint types imports tests models bench clean help

chat: $(VENV)/installed
	@$(BIN)/llamachat chat $(if $(MODEL),-m "$(MODEL)")

test: lint types imports tests

lint: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/code_metrics.py

types: $(VENV)/developed
	$(BIN)/mypy

imports: $(VENV)/developed
	$(BIN)/lint-imports

tests: models
	$(BIN)/pytest $(PYTEST)

models: $(VENV)/developed
	$(BIN)/llamachat pull smollm2
	$(BIN)/llamachat pull gemma3

# PEER: a Python that has llama-cpp-python, to compare with llama.cpp.
bench: $(VENV)/installed
	$(BIN)/llamachat bench $(if $(MODEL),-m "$(MODEL)")
	$(BIN)/python benchmarks/startup.py $(if $(MODEL),-m "$(MODEL)")
	$(BIN)/python benchmarks/compare.py $(if $(MODEL),-m "$(MODEL)") $(if $(PEER),--peer-python "$(PEER)")

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

help:
	@echo "make chat   chat with a model (MODEL=name or file)"
	@echo "make test   lint, types, import directions, tests"
	@echo "make lint | types | imports | tests | models | bench | clean"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "llamachat needs Python 3.11 or newer, and $(PYTHON) is not; give one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)" >&2; exit 1; }

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "installing llamachat into $(VENV): about 300 MB, some minutes ..." >&2
	@$(PIP) install --editable . >&2
	@touch $@

$(VENV)/developed: pyproject.toml | $(BIN)/python
	@echo "installing llamachat and its tools into $(VENV): about 400 MB, some minutes ..." >&2
	@$(PIP) install --editable '.[dev]' >&2
	@touch $@ $(VENV)/installed
