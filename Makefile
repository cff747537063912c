# Every command of the house; `make` alone lists them.
PYTHON ?= python3
PY := .venv/bin/python
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check prove bench fmt lock translations clean venv venv-dev system static

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: venv ## start everything (web, worker, scheduler, sandbox, Redis) on this machine
	@exec $(PY) run.py

test: venv-dev system static ## run every check and every test, installing what they need
	@exec $(PY) -m scripts.run_tests -m "not prove"

check: venv-dev static ## run the quick gate before a commit
	@exec $(PY) -m pytest -q $(wildcard tests/architecture tests/domain)

prove: venv-dev system ## run the proofs in full size (long)
	@exec $(PY) -m scripts.run_tests -n 0 -m prove -o faulthandler_timeout=0

bench: venv-dev system ## measure speed as ratios, beside bare SQL, bare Flask and stock FAB (long; CASE=, ARGS=)
	@exec $(PY) -m benchmarks $(CASE) $(ARGS)

fmt: venv-dev ## format the code and mend what can be mended
	@$(PY) -m ruff check --quiet --fix-only .
	@$(PY) -m ruff format --quiet .

lock: venv-dev ## pin requirements*.in anew, with hashes, for every supported Python
	@exec $(PY) -m scripts.lock_requirements

translations: venv-dev ## bring the catalogues up to date with the source, compile and check them
	@exec $(PY) -m scripts.translations

clean: ## remove caches and the virtual environment; the instance folder stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

venv:
	@$(PYTHON) scripts/bootstrap_venv.py

venv-dev:
	@$(PYTHON) scripts/bootstrap_venv.py --dev

system: venv-dev
	@$(PY) -m scripts.bootstrap_system

static: venv-dev
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --quiet --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@$(PY) -m scripts.check_sizes
