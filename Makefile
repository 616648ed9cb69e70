# Every recipe is one line that also works by hand. `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: help demo test check format docs lock bench clean
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/demo.done ## the whole product on this machine: embedded broker, real data, 90 seconds
	@$(BIN)/sidecar demo $(ARGS)

test: .venv/dev.done ## all tests, those on a real Kafka included
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/dev.done ## what a change must pass: format, lint, types, layers, docs, tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/codespell && $(BIN)/mkdocs build --strict -q -d build/site && $(BIN)/python -m pytest $(ARGS)

format: .venv/dev.done ## lay out the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: .venv/dev.done ## generated pages and schemas
	@$(BIN)/python -m sidecar.telemetry.reference > docs/metrics.md && $(BIN)/python -m sidecar.config.reference > docs/configuration.md && $(BIN)/python -m sidecar.app.checks.reference > docs/check.md && $(BIN)/sidecar schema --write schemas

bench: .venv/dev.done ## the sidecar beside the bare copy loop on a real Kafka, about 10 minutes
	@$(BIN)/python -m loadtests $(ARGS)

lock: .venv/dev.done ## the locked versions anew
	@$(LOCK) -o requirements/runtime.txt && $(LOCK) --extra demo --group build -c requirements/runtime.txt -o requirements/demo.txt && $(LOCK) --all-extras --group build --group test --group lint --group docs --group tools -c requirements/runtime.txt -o requirements/dev.txt

clean: ## everything that can be made anew
	@rm -rf .venv .cache build site

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, set PYTHON=...") if sys.version_info < (3, 11) else None' && $(PYTHON) -m venv .venv

.venv/demo.done: requirements/demo.txt pyproject.toml | .venv/bin/python
	@echo "setting up .venv (once)" && $(INSTALL) --require-hashes -r requirements/demo.txt && $(INSTALL) --no-deps --no-build-isolation -e . && touch $@

.venv/dev.done: requirements/dev.txt pyproject.toml | .venv/bin/python
	@echo "setting up .venv for development (once)" && $(INSTALL) --require-hashes -r requirements/dev.txt && $(INSTALL) --no-deps --no-build-isolation -e . && touch $@ .venv/demo.done
