# The index of this project's habits. `make` alone lists them.
# What a target needs (virtual environment, Debian packages for tests) it sets up itself.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHON ?= python3
# Tests start the program hundreds of times: where nothing may be written, each start would compile all of it anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench lab lab-down lab-test clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## the server on 127.0.0.1:5300 over the example cluster; Ctrl-C ends it
	@$(BIN)/dnsbridge demo

test: $(STAMP) ## the whole test suite (PYTEST_ARGS='-k name' for a part; DEEP=1: more examples of each property)
	@tools/debian_packages.sh test
	@DNSBRIDGE_DEEP=$(DEEP) $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: $(STAMP) ## lint, format, types, floors, module sizes, tests that wait by the clock
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "not formatted: $(BIN)/ruff format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/check_sizes.py
	@$(BIN)/python tools/check_waits.py

bench: $(STAMP) ## every benchmark, the peers in the same run; about half an hour (QUICK=1: five minutes)
	@tools/debian_packages.sh bench
	@$(BIN)/python -m benchmarks.suite $(if $(QUICK),--quick) $(SUITE_ARGS)
	@$(BIN)/python -m benchmarks.latency $(if $(QUICK),--rounds 1 --seconds 1)
	@$(BIN)/python -m benchmarks.cache_memory
	@$(BIN)/python -m benchmarks.failover $(if $(QUICK),--policy sequential --rtt 20 --dark 3)
	@$(BIN)/python -m benchmarks.lossy $(if $(QUICK),--questions 600)
	@$(BIN)/python -m benchmarks.slow $(if $(QUICK),--seconds 3)
	@$(BIN)/python -m benchmarks.forged $(if $(QUICK),--replies 100000)
	@$(BIN)/python -m benchmarks.watching $(if $(QUICK),--quick)
	@$(BIN)/python -m benchmarks.fresh $(if $(QUICK),--rounds 1)
	@$(BIN)/python -m benchmarks.recorded $(if $(QUICK),--rounds 1 --seconds 1)
	@$(BIN)/python -m benchmarks.routes $(if $(QUICK),--quick)
	@$(BIN)/python -m benchmarks.workers $(if $(QUICK),--quick)

lab: $(STAMP) ## a network to play in (CASE=1: BGP, CASE=2: a gateway, the default); Ctrl-C takes it down; needs root
	@tools/debian_packages.sh test
	@$(BIN)/python -m tools.lab up $(or $(CASE),2)

lab-test: $(STAMP) ## the cases of the field, each a network of namespaces; not part of make test; needs root
	@tools/debian_packages.sh test
	@$(BIN)/pytest -n 3 -rP tests/lab $(PYTEST_ARGS)

lab-down: $(STAMP) ## remove what a lab that was killed has left
	@$(BIN)/python -m tools.lab down

clean: ## remove all that make has made here
	@rm -rf $(VENV) .debian build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@tools/make_venv.sh $(VENV)
	@touch $@
