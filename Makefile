# One entry for people and CI. Needs python3 (3.11 or newer), make and a package index; everything else lands in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Changes with pyproject.toml only: an up-to-date environment costs no pip run.
STAMP := $(VENV)/.envoymesh-installed
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' envoymesh/__init__.py)
TEST_WORKERS ?= 2
# By file, whose fixtures are made once (pytest 9.2 does not let pytest-xdist 3.8 mark groups).
PYTEST := $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install native wheels sbom audit run test compiled fuzz attack soak chaos parity check fix bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Without a compiler, a wheel in dist/ of these very sources has the compiled modules. INDEX=1 looks into the package index for
# one: not by itself, for whoever owns the name there would decide what runs here.
DOWNLOAD = $(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --dest dist envoymesh==$(VERSION)
TAKE = $(if $(INDEX)$(wildcard dist/*.whl),@$(if $(INDEX),$(DOWNLOAD);) $(BIN)/python -m release.take)

install: $(STAMP) ## Make .venv with the package (editable) and its development tools
	$(TAKE)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "make: $(PYTHON) is missing or older than Python 3.11; name another with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	# Else each start compiles the whole package where PYTHONDONTWRITEBYTECODE is set: half of the time until it listens.
	$(BIN)/python -m compileall -q envoymesh
	@touch $@

native: $(STAMP) ## Compile the proxy's data path (needs a C compiler): less than half of the CPU for each request
	$(BIN)/envoymesh compile

# What makes wheels and looks at them has an environment of its own: its pins are not ours.
RELEASE := $(VENV)/release
RELEASE_STAMP := $(RELEASE)/.installed

$(RELEASE_STAMP): release/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --quiet --disable-pip-version-check -r $<
	@touch $@

wheels: $(STAMP) $(RELEASE_STAMP) ## Build wheels into dist/: compiled for this Python and, by Docker, the images' one; and a pure one
	$(BIN)/python -m release.wheels

sbom: $(STAMP) $(RELEASE_STAMP) ## Write what a wheel brings along (CycloneDX) into dist/
	$(BIN)/python -m release.sbom

audit: $(STAMP) $(RELEASE_STAMP) ## Check dependencies: conflicts, licences, the oldest that are allowed, known vulnerabilities
	$(BIN)/python -m release.audit

run: $(STAMP) ## Run the mesh as local processes until Ctrl-C (installs first)
	$(TAKE)
	@exec $(BIN)/envoymesh up

test: $(STAMP) ## Run every test this machine can run
	$(PYTEST) tests --ignore=tests/sandbox --ignore=tests/release
	# One after the other: meshes have fixed ports, and a browser gives up what it loads where containers change the network.
	$(BIN)/python -m pytest tests/release tests/sandbox

# Atheris (libFuzzer) has wheels for few platforms: without it the fuzzer says so, and is hypothesis alone.
FUZZ_SECONDS ?= 60
ATHERIS_TRIED := $(VENV)/.atheris-tried

$(ATHERIS_TRIED): $(STAMP)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'atheris>=3,<4'
	@touch $@

# Every room that has compiled modules, and what reads settings into them or runs between them.
COMPILED := $(addprefix tests/unit/,access_loggers admin explain fields filters formatter http matching network router scripting \
  server stats upstream)

compiled: $(STAMP) ## Run unit tests on compiled modules, which it builds first (needs a C compiler)
	$(BIN)/python -m tests.support.compiled
	$(PYTEST) --compiled $(COMPILED)

fuzz: $(ATHERIS_TRIED) ## Fuzz codecs, parsers and formats for FUZZ_SECONDS (60); WORK=1 also shows how work grows with input
	$(BIN)/python -m tests.fuzz run --seconds $(FUZZ_SECONDS) $(TARGETS)
	$(if $(WORK),$(BIN)/python -m tests.fuzz work)

parity: $(STAMP) ## Compare with the real Envoy, case by case; writes docs/parity.md
	$(BIN)/python -m tests.parity

attack: $(STAMP) ## Attack ours and the real Envoy, and see how long others wait; writes docs/reliability.md
	$(BIN)/python -m tests.adversarial

SOAK_MINUTES ?= 30

soak: $(STAMP) ## Mixed load for SOAK_MINUTES (30): is anything left of it? writes docs/reliability.md
	$(BIN)/python -m tests.adversarial.soak --minutes $(SOAK_MINUTES)

CHAOS_SECONDS ?= 120

chaos: $(STAMP) ## Replicas fail in turn for CHAOS_SECONDS (120): what ours and Envoy lose; writes docs/reliability.md
	$(BIN)/python -m tests.adversarial.chaos --seconds $(CHAOS_SECONDS)

check: $(STAMP) ## Format, lint, types, layering and sizes; edits nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_layering.py tests/unit/test_sizes.py

fix: $(STAMP) ## Format and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The peers (and the plot's matplotlib) have an environment of their own: their pins are not ours.
PEERS := $(VENV)/bench-peers
PEERS_STAMP := $(PEERS)/.installed

$(PEERS_STAMP): bench/peers/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --quiet --disable-pip-version-check -r $<
	@touch $@

bench: $(STAMP) $(if $(QUICK),,native $(PEERS_STAMP)) ## Compare with the real Envoy and others; QUICK=1 only shows that it works
	$(BIN)/python -m bench $(if $(QUICK),--quick)

clean: ## Remove .venv, caches, generated certificates and the mesh's state
	@if [ -d .envoymesh ] && [ -x $(BIN)/envoymesh ]; then $(BIN)/envoymesh down || true; fi
	rm -rf $(VENV) .envoymesh envoymesh/native/built .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info certs/*.key certs/*.crt certs/*.pem
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
