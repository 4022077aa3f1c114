# Everything that a developer or CI does with this repository. `make help` lists it.
# Each target makes the environment first; when it is there and current, that costs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
SOURCES := authz bench docs examples protos tests
# What starts no process.
FAST := tests/unit tests/property tests/oracle tests/architecture
CHECKS := check-format check-lint check-types check-layers check-generated check-docs check-policies check-house

export VENV

.PHONY: help setup
help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the Python environment (every other target does this by itself)

$(READY): pyproject.toml constraints.txt .ci/setup tests/oracle/install_xds_protos.py
	@.ci/setup

.PHONY: demo demo-up
demo: $(READY) ## run the worked example: six services behind real Envoys, twenty requests, a table
	@$(BIN)/python -m examples.store.demo

demo-up: $(READY) ## start the worked example and leave it running, with curl lines; Ctrl-C stops all of it
	@$(BIN)/python -m examples.store.demo --keep-running

.PHONY: image compose-up compose-down compose-test
image: ## build the container image and print its size (AIRGAP=1: without an image registry; COMPILED=1: compiled to C)
	@deploy/image/build.sh

compose-up: ## start the store in containers and say what to try (AIRGAP=1: without an image registry)
	@deploy/compose.sh up

compose-down: ## remove the store's containers, networks and volumes
	@deploy/compose.sh down

compose-test: $(READY) ## test image, store and failures in containers: a table, then N passed, N failed (minutes)
	@PYTHON=$(BIN)/python deploy/image/build.sh
	@if [ -n "$(AIRGAP)" ]; then \
	  PYTHON=$(BIN)/python SPIRE_BIN=$$($(BIN)/python -c 'from tests.real import tools; print(tools.spire())' | tail -n 1) \
	    deploy/airgap/bases.sh spire; \
	fi
	@. deploy/docker.sh; need_docker; $(BIN)/python -m tests.containers

.PHONY: test test-fast test-e2e test-real
test: $(READY) ## run every test that needs no service installed: unit, property, integration, end to end
	@$(PYTEST) -n auto --dist loadfile --ignore tests/real

test-fast: $(READY) ## run the tests that start no process: unit, property, architecture
	@$(PYTEST) -q -n auto $(FAST)

test-e2e: $(READY) ## run the tests that go through a real Envoy
	@$(PYTEST) -q tests/e2e

test-real: $(READY) ## run the tests against a certified OpenID provider, SPIRE and Redis, installed into a cache (first time: minutes)
	@$(BIN)/python -m tests.real.install || echo "test-real: going on with what there is; the tests that lack something fail" >&2
	@$(PYTEST) -q tests/real

WHEEL := build/compiled
.PHONY: compiled test-compiled
compiled: $(WHEEL)/.ready ## build the wheel whose per-check modules are compiled to C (about half a minute; needs a C compiler)

$(WHEEL)/.ready: $(READY) deploy/compiled/build.sh deploy/compiled/compiler $(shell find authz -name '*.py')
	@PYTHON=$(BIN)/python deploy/compiled/build.sh $(WHEEL)

# PYTHONSAFEPATH and the emptied `pythonpath`: else the sources of this folder would be imported first.
test-compiled: compiled ## run the unit, property and end-to-end tests on the compiled modules
	@export PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(WHEEL)/site:$(CURDIR); \
	$(PYTEST) -q -o pythonpath= -n auto tests/unit tests/property tests/oracle tests/compiled && \
	$(PYTEST) -q -o pythonpath= tests/e2e

.PHONY: check-deploy manifests
check-deploy: $(READY) ## hold the chart and the manifests of deploy/ against the projects' own schemas (first time: minutes)
	@$(BIN)/python -m tests.deploy.install
	@$(PYTEST) -q tests/deploy

manifests: $(READY) ## renew what deploy/ holds of made files
	@$(BIN)/python -m tests.deploy.generate

.PHONY: check $(CHECKS)
check: $(READY) ## run every gate but the tests: format, lint, types, layers, generated files, docs, policies
	@$(MAKE) --no-print-directory --keep-going $(CHECKS)
	@echo "check: all $(words $(CHECKS)) gates hold"

check-format: $(READY)
	@echo "== format"; $(BIN)/ruff format --check $(SOURCES)

check-lint: $(READY)
	@echo "== lint"; $(BIN)/ruff check $(SOURCES)

check-types: $(READY)
	@echo "== types"; $(BIN)/mypy

check-layers: $(READY)
	@echo "== layers"; $(BIN)/lint-imports

check-generated: $(READY)
	@echo "== generated code"; $(BIN)/python protos/generate.py --check

check-docs: $(READY)
	@echo "== generated docs"; $(BIN)/python docs/generate.py --check

check-policies: $(READY)
	@echo "== policies of the example"; $(BIN)/authz lint examples/store/policy
	@$(BIN)/authz test examples/store/policy --cover --fail-under 100 --mutate

check-house: $(READY)
	@echo "== house rules, README and docs"
	@for script in .ci/*; do bash -n "$$script"; done
	@$(PYTEST) -q tests/architecture

.PHONY: proto docs bench bench-quick bench-endurance bench-contenders bench-compiled bench-tools fmt constraints clean
proto: $(READY) ## generate authz/wire/pb from protos/
	@$(BIN)/python protos/generate.py

docs: $(READY) ## generate the reference pages that come from the code
	@$(BIN)/python docs/generate.py

bench: $(READY) bench-tools bench-compiled ## run every benchmark, side by side with others (about ten minutes)
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.diff
	@$(BIN)/python -m bench.cli

bench-quick: $(READY) bench-compiled ## what a check costs, against the floors and a Rego engine (about a minute)
	@$(BIN)/python -m bench --quick

bench-endurance: $(READY) ## a million checks, each with a new token; fails when memory isn't flat (three to five minutes; part of bench)
	@$(BIN)/python -m bench --only endurance --results bench/results/endurance

bench-contenders: $(READY) ## build the Go contenders into the cache; says so where there is no Go
	@$(BIN)/python -m bench.contenders.build

bench-compiled: $(READY) ## as `compiled`; the benchmarks go on without where it can't be built
	@$(MAKE) --no-print-directory compiled || echo "bench: going on without the compiled modules" >&2

bench-tools: ## install what the benchmarks drive Envoy with, where that is possible
	@.ci/install-bench-tools

fmt: $(READY) ## format the tree and sort imports
	@$(BIN)/ruff check --quiet --fix --select I $(SOURCES); $(BIN)/ruff format $(SOURCES)

constraints: ## resolve constraints.txt anew (reads the package registry)
	@.ci/renew-constraints

clean: ## remove everything that was made: environment, caches, the demo's files
	@rm -rf $(VENV) .cache .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
