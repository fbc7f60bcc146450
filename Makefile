# Every target makes its own environment in .venv; nothing else on the machine is touched.
PYTHON ?= python3
PYTHONS ?= 3.10 3.11 3.12 3.13
BIN := .venv/bin
PLAIN := .venv/.ready
SHOWN := .venv/.ready-demo
READY := .venv/.ready-dev
INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
MINUTES ?= 10
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
APT = $(if $(filter 0,$(shell id -u)),,sudo -n )env DEBIAN_FRONTEND=noninteractive apt-get -qq

.DEFAULT_GOAL := help
.PHONY: help env demo browser test test-slow faults fuzz soak bench pythons docs lint types format clean
.PRECIOUS: .venv-%/.ready

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

env: $(READY) ## Make the environment (.venv) with everything, in the exact versions of constraints.txt

$(PLAIN): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) .
	@touch $@

$(SHOWN): $(PLAIN)
	$(BIN)/python $(INSTALL) '.[emoji,small,gallery]'
	@touch $@

$(READY): $(PLAIN)
	$(BIN)/python $(INSTALL) '.[dev]'
	@touch $@

demo: $(SHOWN) ## Group emoji, real pictures with their words: scores beside k-means, and a page to look at
	$(BIN)/python -m cmc.run experiment=demo
	$(BIN)/python -m cmc.run experiment=demo method=kmeans '~callbacks.figures' '~callbacks.gallery'

browser: ## Chromium for the tests of the report's page: a Debian package, where there is none yet
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { $(APT) update && $(APT) install --yes --no-install-recommends chromium >/dev/null; } \
	|| echo "make: there is no Chromium, and apt-get cannot install it: the tests of the report's page are skipped, and fail where CI is set"

test: $(READY) browser ## All tests but the slow ones
	$(THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: $(READY) ## The slow tests: minutes each
	$(BIN)/python -m pytest -m slow

faults: $(READY) ## Runs killed, checkpoints damaged, disks filled up: nothing may be lost; minutes
	$(THREADS) $(BIN)/python -m tests.faults

fuzz: $(READY) ## Mangled files for every reader, MINUTES=10 for each, or for READERS="npz csv" alone
	$(THREADS) $(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(READERS)

bench: $(READY) ## Both methods against the textbook loop and the processor's limits; ten minutes
	$(BIN)/python -m experiments.benchmark

soak: $(READY) ## 200 short runs in one process, and what grows with them
	$(THREADS) $(BIN)/python -m tests.soak

pythons: ## A run, a prediction and a report on each of PYTHONS="3.10 3.11 3.12 3.13" that is there
	@passed=; failed=; for version in $(PYTHONS); do \
		if ! python$$version -c '' 2>/dev/null; then echo "make: there is no python$$version: left out"; \
		elif $(MAKE) --no-print-directory python-$$version; then passed="$$passed $$version"; \
		else failed="$$failed $$version"; fi; \
	done; echo "make: passed on:$${passed:- none}; failed on:$${failed:- none}"; test -n "$$passed" && test -z "$$failed"

python-%: .venv-%/.ready
	$(THREADS) .venv-$*/bin/python -m tests.smoke

.venv-%/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || python$* -m venv $(@D)
	$(@D)/bin/python $(INSTALL) '.[report]'
	@touch $@

docs: $(READY) ## The documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(READY) ## Style, common mistakes (ruff), and the floors of the package (import-linter)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@told=$$($(BIN)/lint-imports --no-cache) || { echo "$$told"; exit 1; }

types: $(READY) ## Strict types (mypy)
	$(BIN)/mypy

format: $(READY) ## Mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove environments, site and caches; runs stay
	rm -rf .venv .venv-* site .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
