# Each target sets up .venv by itself; all that is needed beforehand is git, make and Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench

.DEFAULT_GOAL := help
.PHONY: help demo up test faults lint format bench requirements clean

help: ## Say what the targets do
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 22

demo: $(DEV) ## Show a food pantry's week on a real ledger, in a temporary folder
	@$(BIN)/commons demo

up: $(DEV) ## Run the whole ledger on this machine, its data in ./data, until Ctrl-C
	@$(BIN)/commons up --data data

test: export PYTHONDONTWRITEBYTECODE = # of the hundreds of processes that are started each would compile everything
test: $(DEV) ## Run all tests but those of containers, against real NATS and PostgreSQL
	@$(BIN)/python -m pytest -m "not docker" -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

faults: $(DEV) ## Run docker-compose.yml and break it: the tests of containers, where an engine answers
	@$(BIN)/python -m pytest -m docker $(or $(ARGS),tests/system)

lint: $(DEV) ## Check style, types and the arrows between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(DEV) ## Format the code
	@$(BIN)/ruff format .

bench: $(BENCH) ## Measure, beside a peer on the same machine; build/bench.json
	@$(BIN)/python -m bench $(ARGS)

requirements: $(DEV) ## Choose the newest dependencies that pyproject.toml allows, with their hashes
	@$(BIN)/python requirements/compile.py

clean: ## Remove everything that can be made again; the data of `make up` stays
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("This needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(DEV): requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing what requirements/dev.txt names into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH): requirements/bench.txt $(DEV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bench.txt
	@touch $@
