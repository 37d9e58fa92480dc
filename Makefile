# One page for people: `make help`. Everything happens in .venv; nothing outside is changed, except
# that `make test` installs the DICOM peers' Debian packages when run as root on Debian or Ubuntu.

PYTHON ?= python3
OUT ?= ra-demo
# pytest workers; loadgroup keeps the tests that share a server on one of them. Threads of torch that
# spin while they wait (OMP_WAIT_POLICY) would take the cores from the other workers.
WORKERS ?= auto
PYTEST_ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo install dev peers test lint bench docs nightly clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

install: ## .venv with the base install (no torch)
	@PYTHON="$(PYTHON)" sh scripts/venv.sh base

dev: ## .venv with the tools of developers
	@PYTHON="$(PYTHON)" sh scripts/venv.sh dev

peers: ## Debian packages of the real peers that tests talk to
	@sh scripts/peers.sh

demo: install ## the whole loop on generated radiographs, results under ra-demo/
	@$(BIN)/ra-daemon demo --no-serve --out "$(OUT)"

test: dev peers ## all tests but the nightly ones, with coverage
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

lint: dev ## style, types, layers, deploy files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/compose-lint deploy/compose/compose.yaml
	$(BIN)/hadolint deploy/container/Containerfile
	sh -n scripts/venv.sh
	sh -n scripts/peers.sh
	bash -n .ci/run

docs: dev ## the documentation as HTML under docs/_build/html; warnings are errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: dev peers ## speed and memory of this machine, written to docs/benchmarks*.md
	$(BIN)/python -m tests.perf.bench
	$(BIN)/python -m tests.perf.engines --out docs/benchmarks-engines.md
	$(BIN)/python -m tests.perf.networks

nightly: dev peers ## the long versions: hundreds of kills, larger cohorts
	$(BIN)/python -m pytest -m nightly --timeout 7200 $(PYTEST_ARGS)

clean: ## remove what the targets made
	rm -rf .venv $(OUT) docs/_build dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache .coverage .coverage.* htmlcov .bench
