PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The tests wait more than they compute, so more of them than there are CPUs run at once.
TEST_PROCESSES ?= 6
PARALLEL := -n $(TEST_PROCESSES)

.PHONY: help demo test check cluster-test images engine bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: packages-demo $(STAMP) ## Build a real program over three workers on this machine
	@$(BIN)/distcc-auto demo

test: check cluster-test ## Run every test, from nothing

check: packages-test $(STAMP) ## ruff, mypy --strict, and the tests that need no container
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q $(PARALLEL) -m 'not serial' tests/unit tests/integration
	$(BIN)/pytest -q -m serial tests/unit tests/integration

cluster-test: packages-test engine $(STAMP) ## The tests over containers; installs and starts Docker where there is none
	$(BIN)/pytest -q tests/cluster tests/provisioning

images: engine ## Build the worker and client images, and their base without a registry
	images/build.py --client

engine: ## Install and start a Docker engine where there is none
	@tools/install-docker

bench: packages-test $(STAMP) ## Measure start-up, slot use and tunnels against their peers
	$(BIN)/python -m bench.startup
	$(BIN)/python -m bench.slots
	$(BIN)/python -m bench.client
	$(BIN)/python -m bench.tunnels
	$(BIN)/python -m bench.server

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: packages-demo packages-test
packages-demo packages-test: packages-%:
	@tools/install-packages $*
