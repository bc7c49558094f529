# Commands for developers. "make help" lists them; CONTRIBUTING.md explains when to use which.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The virtual environment; use another one for each further Python version.
VENV ?= .venv
PYTHON := $(VENV)/bin/python
# Any Python from 3.11 on. Only `make install` uses it; all other targets use the virtual environment.
SYSTEM_PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
UV_VERSION := 0.13.8
CRD := charts/model-booster/templates/crds.yaml
VALIDATION := docs/validation.md
CATALOG := docs/catalogue.md
CATALOG_INDEX := app/catalog/index.json
CLI_PAGE := docs/cli.md
GENERATED := $(CRD) $(VALIDATION) $(CATALOG) $(CATALOG_INDEX) $(CLI_PAGE) charts/model-booster/README.md docs/install.md charts/model-booster/files deploy
CODE := app webhook controller certs modelbooster downloader tests tools setup.py $(wildcard bench)
# Test processes at a time. In test and test-all each starts a control plane of its own and often waits
# for it, so there are two more of them than cores, if each has 4 GB of memory (up to 3 GB are used).
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); memory=$$(($$(getconf _PHYS_PAGES) * $$(getconf PAGESIZE) >> 32)); \
  most=$$((cores < 6 ? cores + 2 : 8)); echo $$((memory < 2 ? 2 : memory < most ? memory : most)))
UNIT_WORKERS ?= 2
PYTEST_ARGS ?=
PYTEST := $(PYTHON) -m pytest
UNIT := tests/unit tests/golden tests/test_layering.py
# Tests start many Python processes; without cached bytecode each compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: install
install: $(VENV)/installed ## Create the virtual environment .venv with everything pinned; needs only Python 3.11 or later.

# The lock file lists every package, so pip must not resolve: pip 23.0 to 23.2 looks for the newest release of an extra
# (name[extra]) even if that name is pinned. `pip check` then shows that the lock file is complete.
$(VENV)/installed: requirements-dev.txt pyproject.toml setup.py
	@$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or later is needed, and "$(SYSTEM_PYTHON)" is not: make install SYSTEM_PYTHON=/path/to/python3.11' >&2; exit 1; }
	@[ -x $(PYTHON) ] || $(SYSTEM_PYTHON) -m venv $(VENV) || { echo 'the module venv does not work (on Debian: apt-get install python3-venv)' >&2; rm -rf $(VENV); exit 1; }
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(PYTHON) -m pip check --disable-pip-version-check
	@touch $@

.PHONY: fmt
fmt: install ## Format the code and fix what the linter can fix.
	$(PYTHON) -m ruff format $(CODE)
	$(PYTHON) -m ruff check --fix $(CODE)

.PHONY: lint
lint: install ## Check format, style and YAML.
	$(PYTHON) -m ruff format --check $(CODE)
	$(PYTHON) -m ruff check $(CODE)
	$(PYTHON) -m yamllint --strict .

.PHONY: type
type: install ## Check the types.
	$(PYTHON) -m mypy

.PHONY: control-plane
control-plane: install ## Find or build etcd, kube-apiserver and the rest that tests and demo run (first time: 5 to 8 minutes).
	@$(PYTHON) -m tests.controlplane prepare

.PHONY: browser
browser: install ## Find or install the browser that shows the dashboard in tests.
	@$(PYTHON) -m tests.browser

# pytest rewrites each assert, and keeps the bytecode. In a fresh clone every test process would do it for all files.
.PHONY: tests-compiled
tests-compiled: install
	@told=$$($(PYTEST) --collect-only -qqq) || { echo "$$told" >&2; exit 1; }

.PHONY: test-unit
test-unit: install ## Run the tests of pure code, with few generated examples (seconds).
	$(PYTEST) -n $(UNIT_WORKERS) --dist worksteal --capture=sys -m 'not slow' --hypothesis-profile=quick $(UNIT) $(PYTEST_ARGS)

# The Python versions to test; each has its own virtual environment.
PYTHONS ?= $(wildcard $(foreach minor,11 12 13,$(HOME)/.pyenv/versions/3.$(minor).*/bin/python))

.PHONY: test-pythons
test-pythons: ## Run lint, type and test-unit under each of PYTHONS="/path/to/python3.12 ..." (default: those of pyenv).
	@[ -n "$(PYTHONS)" ] || { echo 'no Python 3.11, 3.12 or 3.13 found: make test-pythons PYTHONS="/path/to/python3.12 ..."' >&2; exit 1; }
	@for python in $(PYTHONS); do \
	  version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "== Python $$version: $$python"; \
	  $(MAKE) --no-print-directory VENV=.venv-$$version SYSTEM_PYTHON=$$python install lint type test-unit || exit 1; \
	done

.PHONY: test
test: lint type control-plane browser build/supply/installed ## Run what a change must pass, without the slow tests (minutes).
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not slow' $(PYTEST_ARGS)

.PHONY: test-all
test-all: lint type control-plane browser build/supply/installed ## Run everything: the slow tests too, at full length, and every fault of the table.
	TESTS_IN_FULL=1 $(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder --every-fault $(PYTEST_ARGS)

.PHONY: e2e
e2e: install ## Run image and chart on real pods, and disturb them under load (Debian 12, root, no docker; KTHENA_CM=FILE: see CONTRIBUTING.md).
	@$(PYTHON) -m tests.pods

# The oldest and the newest Kubernetes of which there is a recipe; make test runs on 1.34.
KUBERNETES_VERSIONS ?= 1.30 1.37
# What depends on the API server: schema and CEL rules, webhooks and their conditions, apply, watches, garbage
# collection, kubectl.
KUBERNETES_TESTS ?= $(addprefix tests/component/test_,kube.py crd_server.py children_server.py admitted.py \
  registration.py informer.py leader.py rotator.py reconcile.py reconcile_drift.py reconcile_takeover.py manifests.py \
  rules_needed.py verdicts.py) $(addprefix tests/e2e/test_,create.py admission.py answers.py quotes.py operation.py \
  schema_replaced.py doctor.py)

.PHONY: test-kubernetes
test-kubernetes: install ## Run the tests of the API server on each of KUBERNETES_VERSIONS="1.30 1.37" (first time: 7 minutes each).
	@for minor in $(KUBERNETES_VERSIONS); do \
	  echo "== Kubernetes $$minor"; \
	  KUBERNETES=$$minor $(PYTHON) -m tests.controlplane prepare || exit 1; \
	  KUBERNETES=$$minor $(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not slow' $(KUBERNETES_TESTS) $(PYTEST_ARGS) || exit 1; \
	done

.PHONY: test-cert-manager
test-cert-manager: control-plane ## Run the tests of the mode cert-manager with the real one (first time: 5 minutes of CPU to build it).
	CERT_MANAGER=real $(PYTEST) tests/e2e/test_certificates.py -k cert_manager $(PYTEST_ARGS)

.PHONY: golden
golden: install ## Rewrite the golden files; review the diff before you commit it.
	$(PYTHON) -m tests.golden.rewrite

.PHONY: generate
generate: install ## Write the files that are generated from the code.
	@$(PYTHON) -m modelbooster crd --chart > $(CRD).new && mv $(CRD).new $(CRD)
	@$(PYTHON) -m tests.answers $(VALIDATION)
	@$(PYTHON) -m tools.catalog $(CATALOG)
	@$(PYTHON) -m tools.cli_reference $(CLI_PAGE)
	@$(PYTHON) -m tests.chart_values
	@$(PYTHON) -m tests.dashboard
	@$(PYTHON) -m tests.manifests

.PHONY: dashboard-picture
dashboard-picture: control-plane browser ## Make docs/images/grafana.png anew from a real Prometheus (3 minutes; first time 6).
	$(PYTHON) -m tests.picture

RELEASE ?=
ENGINE_PYTHON ?= python3.12

.PHONY: engines
engines: install ## Make the table of an engine release out of its wheel: RELEASE=vllm-0.16.0 (10 GB of disk, 10 minutes).
	$(PYTHON) -m tools.engines $(RELEASE) --python $(ENGINE_PYTHON)
	$(PYTHON) -m pytest -q tests/unit/test_engines_*.py

RELEASES ?=

.PHONY: engine-matrix
engine-matrix: install ## Let the real parsers of RELEASES="vllm-0.16.0 ..." (default: all tables) read every command line.
	$(PYTHON) -m tools.engines.matrix $(RELEASES) --python $(ENGINE_PYTHON)

.PHONY: verify
verify: generate ## Fail if a generated file is not up to date.
	@git diff --exit-code -- $(GENERATED) || { echo 'commit what "make generate" wrote' >&2; exit 1; }

.PHONY: chart
chart: install ## Check the Helm chart with the real helm.
	$(PYTHON) -m pytest tests/test_chart*.py $(PYTEST_ARGS)

.PHONY: image
image: ## Build the images model-booster:dev and model-booster-downloader:dev (DOCKER=podman for another builder).
	$(or $(DOCKER),docker) build --tag model-booster:dev .
	$(or $(DOCKER),docker) build --tag model-booster-downloader:dev --target downloader .

HOMEPAGE ?=

.PHONY: krew
krew: install ## Make archive and manifest of the krew plugin in build/krew: HOMEPAGE=https://github.com/OWNER/NAME.
	@[ -n "$(HOMEPAGE)" ] || { echo 'name the repository: make krew HOMEPAGE=https://github.com/OWNER/NAME' >&2; exit 1; }
	$(PYTHON) -m tools.krew build/krew $(HOMEPAGE)

IMAGE ?=
DIGEST ?=

.PHONY: chart-package
chart-package: install ## Package the chart into build/chart: HOMEPAGE=https://github.com/OWNER/NAME, and IMAGE, DIGEST if published.
	@[ -n "$(HOMEPAGE)" ] || { echo 'name the repository: make chart-package HOMEPAGE=https://github.com/OWNER/NAME' >&2; exit 1; }
	$(PYTHON) -m tools.chart_package build/chart $(HOMEPAGE) $(IMAGE) $(DIGEST)

.PHONY: wheel
wheel: install ## Build the wheel in build/wheel.
	@rm -rf build/lib build/wheel
	@$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/wheel .
	@ls build/wheel/*.whl

.PHONY: demo
demo: control-plane ## Show the life of a ModelBooster on a real API server; KEEP=1 leaves the server running.
	@KEEP=$(KEEP) $(PYTHON) -m tests.demo

.PHONY: bench
bench: control-plane ## Measure speed.
	$(PYTHON) -m bench

.PHONY: bench-quick
bench-quick: control-plane ## Guard the speed that was reached, by counts and ratios (a minute).
	$(PYTHON) -m bench.quick

SOAK_MINUTES ?= 30
SEED ?=
REPORT ?= build/soak.md

.PHONY: soak
soak: control-plane ## Inject random faults for SOAK_MINUTES=30, then check recovery and memory growth (SEED, REPORT=FILE).
	@$(PYTHON) -m tests.soak --minutes $(SOAK_MINUTES) --report $(REPORT) $(if $(SEED),--seed $(SEED))

.PHONY: lock
lock: ## Pin the dependencies again, with hashes (LOCK_ARGS=--upgrade takes the newest).
	@[ -x build/lock/bin/uv ] || { $(SYSTEM_PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	build/lock/bin/uv pip compile --quiet $(LOCK_ARGS) --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements.txt
	build/lock/bin/uv pip compile --quiet $(LOCK_ARGS) --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command 'make lock' --extra dev --extra downloader -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(SYSTEM_PYTHON) -c 'import sys, tomllib; print(*tomllib.load(sys.stdin.buffer)["project"]["optional-dependencies"]["downloader"], sep="\n")' < pyproject.toml \
	  | build/lock/bin/uv pip compile --quiet $(LOCK_ARGS) --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command 'make lock' -c requirements-dev.txt - -o requirements-downloader.txt
	build/lock/bin/uv pip compile --quiet $(LOCK_ARGS) --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command 'make lock' tools/supply/requirements.in -o tools/supply/requirements.txt

# The programs that look at our supply chain have an environment of their own: nothing that we ship or test imports them.
SUPPLY := build/supply/bin
# An SBOM for each image: build/NAME.cdx.json of the lock file below.
SBOMS := build/operator.cdx.json build/downloader.cdx.json

build/supply/installed: tools/supply/requirements.txt
	@rm -rf build/supply && $(SYSTEM_PYTHON) -m venv build/supply
	@$(SUPPLY)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

build/operator/installed: requirements.txt
build/downloader/installed: requirements-downloader.txt

# What an image contains of Python, without our own code: the same step as in the Dockerfile.
build/operator/installed build/downloader/installed: tools/image/environment.sh
	@tools/image/environment.sh $(notdir $(@D)) $(SYSTEM_PYTHON) $(CURDIR)/$(@D) packages
	@touch $@

build/%.cdx.json: build/%/installed build/supply/installed pyproject.toml
	@$(SUPPLY)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --spec-version 1.6 \
	  --output-reproducible --output-file $@ build/$*/bin/python

.PHONY: sbom
sbom: $(SBOMS) ## Write the SBOM of each image's environment (CycloneDX) to build/NAME.cdx.json.

.PHONY: licenses
licenses: $(SBOMS) ## List the licence of each package in the images; fail on one that we do not allow.
	@$(SUPPLY)/python -m tools.supply.licenses $(SBOMS)

.PHONY: audit
audit: build/supply/installed ## Fail if a package in the image has a known vulnerability (asks the package index).
	@$(SUPPLY)/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements.txt -r requirements-downloader.txt

.PHONY: clean
clean: ## Remove what the targets made here (not the cache of built programs outside).
	rm -rf .venv .venv-* build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
