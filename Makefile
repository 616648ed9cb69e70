# Every recipe is one line that also works by hand. `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: help demo examples test lint check format docs lock bench bench-latency bench-peers bench-scenarios bench-kernels bench-drift drift-simulation faults faults-short memory clean
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: .venv/demo.done ## the whole product on this machine: embedded broker, real data, 90 seconds
	@$(BIN)/sidecar demo $(ARGS)

examples: .venv-examples/done ## the models of docs/examples: trained, bundled, checked, tested, replayed
	@OMP_NUM_THREADS=1 PATH="$(CURDIR)/.venv-examples/bin:$$PATH" python tools/pages.py docs/examples build/examples fraud churn regressor

test: .venv/dev.done ## all tests, those on a real Kafka included
	@$(BIN)/python -m pytest $(ARGS)

lint: .venv/dev.done ## format, lint, types, layers, spelling, docs
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/codespell && $(BIN)/mkdocs build --strict -q -d build/site

check: lint test ## what a change must pass

format: .venv/dev.done ## lay out the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: .venv/dev.done ## generated pages, schemas and dashboards
	@$(BIN)/python -m sidecar.telemetry.reference > docs/metrics.md && $(BIN)/python -m sidecar.config.reference > docs/configuration.md && $(BIN)/python -m sidecar.app.checks.reference > docs/check.md && $(BIN)/python -m loadtests.faults.report docs && $(BIN)/python -m loadtests.drift.tables docs/performance.md && $(BIN)/python -m loadtests.pages docs/performance.md && $(BIN)/sidecar schema --write schemas && $(BIN)/python -m tools.dashboards && $(BIN)/python -m tools.kubernetes

bench: .venv/dev.done ## the sidecar beside the bare copy loop on a real Kafka, about 10 minutes
	@$(BIN)/python -m loadtests $(ARGS)

bench-latency: .venv/dev.done ## latency and CPU under an open load, and when idle, about 18 minutes
	@$(BIN)/python -m loadtests.latency $(ARGS)

bench-peers: .venv/dev.done ## the sidecar beside other tools that do the same job, about 20 minutes
	@$(BIN)/python -m loadtests.peers $(ARGS)

bench-scenarios: .venv/dev.done ## faults, formats, widths, partitions and two processes, about 15 minutes
	@$(BIN)/python -m loadtests.scenarios $(ARGS)

bench-kernels: .venv/dev.done ## the three hottest parts alone, without a broker, about a minute
	@$(BIN)/python -m pytest tests/benchmarks -p no:randomly --benchmark-enable $(ARGS)

bench-drift: .venv/dev.done ## drift statistics beside those of three other tools, about 5 minutes
	@$(BIN)/python -m loadtests.drift.cost $(ARGS)

drift-simulation: .venv/dev.done ## false alarms of the drift monitor and how soon it speaks, about 5 minutes
	@$(BIN)/python -m loadtests.drift.simulation $(ARGS)

faults: .venv/dev.done ## faults against real sidecars on real Kafka, the long campaign: some hours
	@$(BIN)/python -m loadtests.faults --long $(ARGS)

faults-short: .venv/dev.done ## the part of it that CI runs, about 5 minutes
	@$(BIN)/python -m loadtests.faults --short $(ARGS)

memory: .venv/dev.done ## ten million events through one sidecar, and its memory, about 10 minutes
	@$(BIN)/python -m loadtests.faults.memory $(ARGS)

lock: .venv/dev.done ## the locked versions anew
	@tools/lock

clean: ## everything that can be made anew
	@rm -rf .venv .venv-examples .cache build site

.venv/bin/python .venv-examples/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, set PYTHON=...") if sys.version_info < (3, 11) else None' && $(PYTHON) -m venv $(@:/bin/python=)

.venv/demo.done: requirements/demo.txt pyproject.toml | .venv/bin/python
	@echo "setting up .venv (once)" && $(INSTALL) --require-hashes -r requirements/demo.txt && $(INSTALL) --no-deps --no-build-isolation -e . && touch $@

.venv/dev.done: requirements/dev.txt pyproject.toml | .venv/bin/python
	@echo "setting up .venv for development (once)" && $(INSTALL) --require-hashes -r requirements/dev.txt && $(INSTALL) --no-deps --no-build-isolation -e . && touch $@ .venv/demo.done

.venv-examples/done: BIN := .venv-examples/bin
.venv-examples/done: requirements/examples.txt pyproject.toml | .venv-examples/bin/python
	@echo "setting up .venv-examples (once)" && $(INSTALL) --require-hashes -r requirements/examples.txt && $(INSTALL) --no-deps --no-build-isolation -e . && { $(BIN)/python -c 'import lightgbm' 2>/dev/null || { echo "LightGBM does not load: it needs the OpenMP library of the system (Debian: libgomp1)"; exit 1; }; } && touch $@
