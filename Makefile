# Every task of this project. CI runs the same targets (.ci/run) and nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
export PYTHONPATH := include:.
# What set-up unpacked instead of installing, and root's tools, as in the local run.
export PATH := $(CURDIR)/.local/tools/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin
# Tests and tools must not see an Airflow or an account of this machine.
unexport AIRFLOW_HOME
export AIRFLOW__CORE__LOAD_EXAMPLES := False
export ALIBABA_CLOUD_ECS_METADATA_DISABLED := true

SHELL_FILES = $(shell git ls-files --cached --others --exclude-standard '*.sh') .ci/run compose/make-env
# Tests that need Linux as root; elsewhere they are left out, and that is said.
ON_MACHINES := $(shell [ "$$(uname -s)" = Linux ] && [ "$$(id -u)" = 0 ] && echo yes)

.PHONY: help setup setup-dev demo up down check test test-machine bench-emulator chaos golden test-vm docs lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Install what make demo needs: Debian packages and .venv (done by each target)
	@local/setup.sh
	@local/venv.sh run

setup-dev:  ## The same for check and test
	@local/setup.sh
	@local/venv.sh dev

demo: setup  ## Run the whole chain on a local cloud and show what it gained
	@$(BIN)/python -m local.demo $(DEMO)

up: setup  ## Keep the local cloud and Airflow running, to click around
	@$(BIN)/python -m local.up $(UP)

down:  ## Stop what make up started and leave nothing behind
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local.down; fi

check: setup-dev  ## Lint, types, shell scripts, import directions, docs (fast)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy include/ack_preload emulator local dags plugins tests
	$(BIN)/shellcheck $(SHELL_FILES)
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:randomly tests/docs

# Most tests wait for a process, not for a core; a group stays on one worker, with its fixtures: a
# file, or all that share the real Airflow (tests/conftest.py). xdist would begin with the groups of
# most tests: the same file puts the longest first instead.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

test: setup-dev  ## Run all tests; those on real machines when root on Linux
ifeq ($(ON_MACHINES),yes)
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)
else
	@echo "Not root on Linux: tests on real machines (make test-machine) are left out."
	$(BIN)/python -m pytest $(PARALLEL) -m "not machine" $(ARGS)
endif

test-machine: setup-dev  ## Only the tests on real machines (root, Linux)
	$(BIN)/python -m pytest -m machine $(ARGS)

bench-emulator: setup  ## How many nodes and calls the local cloud bears: a table, and a verdict
	@$(BIN)/python -m local.bench $(BENCH)

chaos: setup  ## Stages of the chain under faults and kills: a table, and a verdict
	@$(BIN)/python -m local.chaos $(CHAOS)

golden: setup-dev  ## Accept the requests that a night on paper machines sends, for review
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/dags/test_real_airflow.py -k golden

test-vm: setup-dev  ## The machine layer under cgroup v2, in a virtual machine
	local/test_vm.sh

docs: setup-dev  ## Write docs/reference anew from the code
	$(BIN)/python docs/reference/generate.py
	$(BIN)/python -m emulator.api_model
	UPDATE_ANSWERS=1 $(BIN)/python -m pytest -q tests/parity/test_answers.py -k list_of_answers
	$(BIN)/python -m emulator.api_reference
	$(BIN)/python -m emulator.faults.reference

lock:  ## Compile requirements*.txt from requirements*.in
	@local/venv.sh dev
	for name in requirements requirements-dev requirements-compose requirements-build; do \
	    $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	        $$name.in --output-file $$name.txt; \
	done

clean: down  ## Remove .local and .venv
	@# What sudo made for real machines belongs to root.
	rm -rf .local .venv 2>/dev/null || sudo rm -rf .local .venv
