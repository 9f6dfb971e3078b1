# Everything here needs only Python (with its venv module) and make. Environments live
# in the checkout and are made once; a stamp file says when one is up to date.

PYTHON ?= python3
PANDAS3 ?= 3.0.6
PYTEST_ARGS ?=
# -E runs the examples of all pages; without it, of those that changed.
SPHINX_ARGS ?= -E
# What make smoke-newest and make smoke-lowest install of torch; see .ci/run.
TORCH_NEWEST ?= $(shell grep '^torch==' constraints.txt)
TORCH_LOWEST ?= $(TORCH_NEWEST)

VENV := .venv
VENV_PANDAS3 := .venv-pandas3
VENV_NEWEST := .venv-newest
VENV_LOWEST := .venv-lowest
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-pandas3 smoke smoke-newest smoke-lowest
.PHONY: lint format docs report build clean

help: ## Show this help
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | \
		awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

demo: $(VENV)/demo.stamp ## Compare all three methods with statistical forecasters
	$(BIN)/sktime-llm compare --folds 1

test: $(VENV)/dev.stamp ## Run the tests and doctests; more options in PYTEST_ARGS
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not network and not slow" \
		$(PYTEST_ARGS)

test-slow: $(VENV)/dev.stamp ## Run the tests that take long, each some 10 to 90 seconds
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not network" \
		$(PYTEST_ARGS)

test-pandas3: $(VENV_PANDAS3)/dev.stamp ## Run all of them on pandas 3, without statsforecast
	$(VENV_PANDAS3)/bin/python -m pytest -m "not network" $(PYTEST_ARGS)

smoke: $(VENV)/dev.stamp ## Try all forecasters and the command, in a minute
	$(BIN)/python .ci/smoke.py

smoke-newest: build ## The same with the newest versions of everything but torch
	rm -rf $(VENV_NEWEST)
	$(PYTHON) -m venv $(VENV_NEWEST)
	$(VENV_NEWEST)/bin/python -m pip install -q $(TORCH_NEWEST) \
		"$$(echo dist/*.whl)[all]"
	$(VENV_NEWEST)/bin/python .ci/smoke.py

smoke-lowest: build ## The same with the lowest versions in pyproject.toml, but torch
	rm -rf $(VENV_LOWEST)
	$(PYTHON) -m venv $(VENV_LOWEST)
	$(BIN)/uv pip compile -q --python $(VENV_LOWEST)/bin/python \
		--resolution lowest --no-deps --only-binary :all: --extra all \
		--no-emit-package torch --output-file $(VENV_LOWEST)/constraints.txt \
		pyproject.toml
	$(VENV_LOWEST)/bin/python -m pip install -q -c $(VENV_LOWEST)/constraints.txt \
		$(TORCH_LOWEST) "$$(echo dist/*.whl)[all]"
	$(VENV_LOWEST)/bin/python .ci/smoke.py

lint: $(VENV)/dev.stamp ## Check style, formatting, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp ## Build the documentation into docs/_build, and run its examples
	rm -rf docs/api/generated
	$(BIN)/python -m sphinx -q -W --keep-going -j 2 $(SPHINX_ARGS) docs docs/_build/html

format: $(VENV)/dev.stamp ## Format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

report: $(VENV)/dev.stamp ## Write the recorded results into the docs; trains nothing
	$(BIN)/python benchmarks/report.py

build: $(VENV)/dev.stamp ## Build the source distribution and the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build

clean: ## Remove environments, caches and everything that was built
	rm -rf $(VENV) $(VENV_PANDAS3) $(VENV_NEWEST) $(VENV_LOWEST) dist compare_results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf docs/_build docs/api/generated
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/demo.stamp: EXTRAS := all
$(VENV)/dev.stamp: EXTRAS := all,dev,docs
$(VENV)/demo.stamp $(VENV)/dev.stamp: pyproject.toml constraints.txt
	@echo "Installing into $(VENV); the first time this takes minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

$(VENV_PANDAS3)/dev.stamp: pyproject.toml constraints.txt
	@echo "Installing into $(VENV_PANDAS3); the first time this takes minutes"
	test -x $(VENV_PANDAS3)/bin/python || $(PYTHON) -m venv $(VENV_PANDAS3)
	sed 's/^pandas==.*/pandas==$(PANDAS3)/' constraints.txt \
		> $(VENV_PANDAS3)/constraints.txt
	$(VENV_PANDAS3)/bin/python -m pip install -q \
		-c $(VENV_PANDAS3)/constraints.txt -e ".[embedded,endpoint,plots,dev]" pyarrow
	touch $@
