# Needs Python >= 3.11 and make; everything else is put into .venv by the first verb that wants it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PYTEST := PYTHONPATH=tests $(BIN)/pytest $(if $(filter true,$(CI)),-p ci_no_skips)

APT := apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends

.PHONY: help demo test foreign check bench drill clean
.DEFAULT_GOAL := help

help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/server.stamp ## from a bare checkout to a granular token; ARGS=--once stops after one round trip, ARGS=--json is for scripts
	@exec $(BIN)/multipartner demo $(ARGS)

test: $(VENV)/dev.stamp ## the suite that needs only Python, in a few processes; ARGS go to pytest (-n0: one process)
	$(PYTEST) -n auto --dist worksteal -m "not foreign" $(ARGS)

foreign: $(VENV)/foreign.stamp tests/foreign/node_modules/stamp ## the tier with other people's software; installs what it needs
	@command -v chromium >/dev/null || { $(APT) chromium; }
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || { $(APT) nginx-light; }
	@command -v haproxy >/dev/null || test -x /usr/sbin/haproxy || { $(APT) haproxy; }
	@command -v java >/dev/null || { $(APT) default-jre-headless; }
	$(PYTEST) -m foreign tests/foreign $(ARGS)

check: $(VENV)/dev.stamp ## formatting, lint, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q -p no:randomly tests/test_walls.py

bench: $(VENV)/dev.stamp $(VENV)/compared.stamp tests/foreign/node_modules/stamp ## measure, and write docs/benchmarks.md
	$(BIN)/python benchmarks/run.py $(ARGS)

drill: $(VENV)/dev.stamp ## break a real cluster under load, check what was seen, and write docs/drills.md
	@ls /usr/lib/postgresql/*/bin/pg_rewind >/dev/null 2>&1 || command -v pg_rewind >/dev/null || { $(APT) postgresql; }
	@command -v redis-server >/dev/null || { $(APT) redis-server; }
	@command -v haproxy >/dev/null || test -x /usr/sbin/haproxy || { $(APT) haproxy; }
	$(BIN)/python drills/run.py $(ARGS)

clean: ## remove what the verbs installed
	rm -rf $(VENV) tests/foreign/node_modules

# A later stamp means an earlier one: dev.txt holds all of server.txt.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/server.stamp: $(VENV)/python.stamp requirements/server.txt pyproject.toml
	@echo "Installing what the service needs into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/server.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/server.stamp requirements/dev.txt
	@echo "Installing what the tests need into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	@touch $@

$(VENV)/foreign.stamp: $(VENV)/dev.stamp requirements/foreign.txt
	@echo "Installing what the foreign tier needs into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/foreign.txt
	@touch $@

$(VENV)/compared.stamp: $(VENV)/dev.stamp requirements/compared.txt
	@echo "Installing what the benchmarks compare with into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/compared.txt
	@touch $@

tests/foreign/node_modules/stamp: tests/foreign/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { $(APT) nodejs npm; } || \
		{ echo "Node and npm are needed: https://nodejs.org" >&2; exit 1; }
	cd tests/foreign && npm ci --no-audit --no-fund
	@touch $@
