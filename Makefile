# On a fresh machine with Python >= 3.11, make and git: `make run`, `make test`. Nothing before them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
CORES ?= all
BIN := $(CURDIR)/.venv/bin
RESULTS ?= results
TESTS ?= tests
# The environment is made anew only where the lock changes.
READY := .venv/.made-from-$(shell git hash-object requirements.lock 2>/dev/null | cut -c1-12)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
MINTPY := .peers/mintpy-1.6.4
TRACKERS := .peers/openpiv-0.26.1
MANNKENDALL := .peers/pymannkendall-1.4.3

export PATH := $(BIN):$(PATH)
export PYTHONNOUSERSITE := 1

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## the main job: every region of config/config.yaml, and a report page; prints where the products are
	snakemake --cores $(CORES) --config results=$(RESULTS) $(ARGS)
	@for made in $(RESULTS)/*/summary.json; do [ $(RESULTS)/report.html -nt $$made ] || anew=1; done; \
	if [ "$${anew:-}" ]; then snakemake --report $(RESULTS)/report.html --quiet all --config results=$(RESULTS) $(ARGS); fi
	@python scripts/show_results.py $(RESULTS)/*/summary.json

test: lint ## every gate: formatters, linters, types, tests
	python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder -m "not cluster" $(TESTS)

test-cluster: $(READY) ## what needs root, apt or minutes: a real one-node Slurm, conda
	python -m pytest tests/workflow/test_cluster.py

lint: $(READY) ## formatters, linters and types, without the tests
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	cd workflow && mypy --config-file ../pyproject.toml

bench: bench-inversion bench-sandbox bench-sentinel1 bench-offsets bench-snow ## every benchmark against its peers and the truth

bench-inversion: $(READY) $(MINTPY)/.made ## the inversion against MintPy
	python benchmarks/inversion.py --peer $(MINTPY) $(ARGS)

bench-sentinel1: $(READY) ## raw scenes against the truth: geometry, phase, backscatter, memory, time
	python benchmarks/sentinel1.py $(ARGS)

bench-offsets: $(READY) $(TRACKERS)/.made ## offset tracking against OpenPIV and OpenCV
	python benchmarks/offsets.py --peers $(TRACKERS)/bin/python $(ARGS)

bench-sandbox: $(READY) ## landscapes of five seeds against the truth, and one of another range (an hour)
	python benchmarks/sandbox.py $(ARGS)

bench-snow: $(READY) $(MANNKENDALL)/.made ## trends of the snow index against pymannkendall and SciPy
	python benchmarks/snow.py --peers $(MANNKENDALL)/bin/python $(ARGS)

verify-isce2: $(READY) ## both engines on the same simulated scenes; needs ISCE2; writes docs/engines.md
	python benchmarks/engines.py --document docs/engines.md $(ARGS)

report: $(READY) ## results/report.html anew: figures, rules, run times
	snakemake --report $(RESULTS)/report.html --config results=$(RESULTS)

lock: $(READY) ## requirements.lock anew, from pyproject.toml
	@python -m venv .peers/uv && .peers/uv/bin/python -m pip install --quiet --upgrade uv
	.peers/uv/bin/uv pip compile --quiet pyproject.toml --all-extras --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-annotate --no-header --upgrade \
		--output-file requirements.lock

clean: ## what was made here, but for results/
	rm -rf .venv .peers .snakemake .mypy_cache .ruff_cache .pytest_cache .hypothesis workflow/*.egg-info
	find workflow scripts tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(READY):
ifeq ($(strip $(PYTHON)),)
	@echo "Python 3.11 or newer is needed, but $$(python3 --version 2>&1 || true) was found:" \
		"install one (e.g. 'apt install python3.12 python3.12-venv') or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2
	@exit 1
else
	@echo "making .venv with $$($(PYTHON) --version) from requirements.lock (a minute or two, once)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make environments: install its venv module (e.g. 'apt install python3-venv')." >&2; exit 1; }
	@$(PIP) --require-hashes --requirement requirements.lock 2> >(grep -v "is ignored: it is neither" >&2)
	@$(PIP) --no-deps --no-build-isolation --editable . 2> >(grep -v "is ignored: it is neither" >&2)
	@touch $@
endif

$(MINTPY)/.made:
	@echo "making $(MINTPY) (the peer, in an environment of its own, once)"
	@rm -rf $(MINTPY)
	@$(PYTHON) -m venv $(MINTPY)
	@$(MINTPY)/bin/python -m pip install --quiet --disable-pip-version-check mintpy==1.6.4 \
		$$(grep -o '^rasterio==[0-9.]*' requirements.lock) 2> >(grep -v "is ignored: it is neither" >&2)
	@touch $@

$(TRACKERS)/.made:
	@echo "making $(TRACKERS) (the peers, in an environment of their own, once)"
	@rm -rf $(TRACKERS)
	@$(PYTHON) -m venv $(TRACKERS)
	@$(TRACKERS)/bin/python -m pip install --quiet --disable-pip-version-check OpenPIV==0.26.1 \
		opencv-python-headless==5.0.0.93 2> >(grep -v "is ignored: it is neither" >&2)
	@touch $@

$(MANNKENDALL)/.made:
	@echo "making $(MANNKENDALL) (the peers, in an environment of their own, once)"
	@rm -rf $(MANNKENDALL)
	@$(PYTHON) -m venv $(MANNKENDALL)
	@$(MANNKENDALL)/bin/python -m pip install --quiet --disable-pip-version-check pymannkendall==1.4.3 \
		$$(grep -oE '^(numpy|scipy)==[0-9.]*' requirements.lock) 2> >(grep -v "is ignored: it is neither" >&2)
	@touch $@

.PHONY: help run test test-cluster lint bench bench-inversion bench-sandbox bench-sentinel1 bench-offsets bench-snow verify-isce2 report lock clean
