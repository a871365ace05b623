# Just the unit tests: `make test-unit`, no cluster and no root, minutes. Two commands do all: `make demo` and
# `make test`. `make clean` takes everything down again.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# uv from PATH, or a copy of its own.
UV := $(or $(shell command -v uv),$(CURDIR)/build/tools/bin/uv)
RUN := $(UV) run --frozen --all-extras
VENV := .venv/.synced

# Public URLs, unless the cluster has no data plane (CLUSTER=existing).
ROUTING = $${HTTPS_GATEWAY:+--values tests/cluster/routing.yaml}
E2E_ROUTING = $(ROUTING) $${HTTPS_GATEWAY:+--values tests/e2e/routing.yaml}
# tests/support/gpus.py pushes the base image with CUDA.
CUDA = --set 'build.cudaImages.3\.11'=$$REGISTRY_PUSH/modelyard-tests/cuda:3.11
E2E_INSTALL = . .cluster/env && $(CHART_SCRIPTS)install.sh --values tests/e2e/values.yaml $(E2E_ROUTING) $(CUDA) $(HELM_ARGS)

include tests/cluster/cluster.mk tests/scoring.mk charts/chart.mk tests/gateway.mk

.PHONY: help demo fuzz test test-unit-and-install cluster-and-image test-flux-scoring-and-spark test-scoring test-unit test-install test-integration test-e2e test-envoy test-flux test-argocd test-prometheus-adapter test-spark lint lint-prose crds bench-operator bench-build bench-route bench-walls bench-scaling soak test-move clean distclean test-docs docs dashboards

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

demo: cluster image ## a model trained, built, served, scaled and rolled on a real cluster; ends with an https URL
	@. .cluster/env && $(CHART_SCRIPTS)install.sh --values tests/demo/values.yaml $(ROUTING) $(HELM_ARGS)
	@. .cluster/env && $(RUN) python -m tests.demo

# In this order: test-e2e, test-flux, test-docs and conformance-api install the chart with values of their own.
test: test-unit-and-install test-integration test-e2e test-flux-scoring-and-spark test-docs conformance-api ## every test

# The start of the cluster and the push of the image are waits for the most part, and neither test needs them.
test-unit-and-install: $(VENV)
	@$(MAKE) --jobs 2 --output-sync=line test-unit cluster-and-image test-install

cluster-and-image: cluster
	@$(MAKE) image

test-unit: $(VENV) ## just the unit tests, without a cluster; fails below the branch coverage of pyproject.toml
	$(RUN) pytest tests/unit tests/lint --cov --numprocesses logical --dist worksteal

test-install: $(VENV) ## each extra of the package in an environment of its own: starts, and its size
	$(RUN) pytest tests/install

test-integration: $(VENV) cluster image ## tests against a real API server, engine and registry
	. .cluster/env && $(RUN) pytest tests/integration --numprocesses 2 --dist loadfile

test-e2e: $(VENV) cluster image ## tests of the whole, installed by the chart
	@$(E2E_INSTALL)
	. .cluster/env && $(RUN) pytest tests/e2e -m "not alone" --numprocesses 2 --dist loadfile
	. .cluster/env && $(RUN) pytest tests/e2e -m alone

test-envoy: $(VENV) cluster image ## public URLs through Envoy Gateway, which it builds once, 5 minutes; not in CI
	@UV="$(UV)" $(CLUSTER_SCRIPTS)envoy.sh
	@. .cluster/env && . .cluster/envoy.env && $(CHART_SCRIPTS)install.sh --values tests/e2e/values.yaml $(E2E_ROUTING)
	. .cluster/env && . .cluster/envoy.env && $(RUN) pytest tests/e2e/test_public_url.py
	@$(CLUSTER_SCRIPTS)envoy.sh --remove

test-flux: $(VENV) install ## the real Flux applies a repository, commit by commit; builds its controllers once, 7 minutes
	. .cluster/env && $(RUN) pytest tests/flux

# The tests of Flux wait for most of the time. Those of the scoring runtime need no cluster, and Spark's only its engine.
test-flux-scoring-and-spark: $(VENV)
	@$(MAKE) --jobs 2 --output-sync=line test-flux test-scoring test-spark

test-scoring: $(VENV)
	@$(MAKE) conformance-scoring
	@$(MAKE) fuzz
	@$(MAKE) fuzz-scoring

test-argocd: $(VENV) install ## the real Argo CD syncs a repository, commit by commit; builds it once, 8 minutes; not in CI
	. .cluster/env && $(RUN) pytest tests/argocd/commits.py

# No part of CI, which does not have the program.
test-prometheus-adapter: $(VENV) install ## autoscalers by the load that the real prometheus-adapter serves; ADAPTER= is its program
	. .cluster/env && ADAPTER="$(abspath $(ADAPTER))" $(RUN) pytest tests/adapter/scaling.py

test-docs: $(VENV) install ## each command and example of the documentation, page by page
	. .cluster/env && $(RUN) pytest tests/docs -m "not alone" --numprocesses 3 --dist worksteal
	. .cluster/env && $(RUN) pytest tests/docs -m alone

test-spark: $(VENV) cluster ## a Spark pipeline trained, built into an image and scored; makes a base image with Java and pyspark
	@UV="$(UV)" $(CLUSTER_SCRIPTS)spark.sh
	. .cluster/env && . .cluster/spark.env && $(RUN) pytest tests/integration/builder/test_spark.py

fuzz: $(VENV) ## hostile addresses, archives, packages, environment files, records and HTTP requests; INPUTS=100000 SEED=1
	INPUTS="$(INPUTS)" SEED="$(SEED)" $(RUN) python -m tests.fuzz

lint: $(VENV) ## style, types, layers, dependencies, plain English, spelling, scripts, and the lock file
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) deptry operator
	$(RUN) python -m tests.lint.prose
	git ls-files -z | xargs -0 $(RUN) codespell
	git grep -lzE '^(#!/.*sh$$|# shellcheck shell=)' | xargs -0 $(RUN) shellcheck --external-sources
	$(UV) lock --check

lint-prose: $(VENV) ## plain English in documents, docstrings and comments; PATHS="docs operator/modelyard/oci"
	$(RUN) python -m tests.lint.prose $(PATHS)

crds: $(VENV) ## write the CRDs from the types
	$(RUN) modelyard crds crds charts/modelyard/files/crds

dashboards: $(VENV) ## write the Grafana dashboards of the chart
	$(RUN) python -m charts.dashboards

docs: $(VENV) ## write docs/reference.md from the CRDs and the code
	$(RUN) python docs/write_reference.py

bench-operator: cluster install ## N Services beside raw creates of the same objects
	@. .cluster/env && $(RUN) python -m tests.bench.operator

bench-build: cluster install ## builds beside curl, crane, docker and BuildKit, and in the cluster; minutes
	@. .cluster/env && $(RUN) python -m tests.bench.builder

bench-walls: cluster install ## changed models with one container in the build's pod and with two; 3 minutes
	@. .cluster/env && $(RUN) python -m tests.bench.builder --walls

SCALING_PARTS = $(or $(PARTS),collector step zero cycles held)
bench-scaling: $(VENV) $(if $(filter step zero cycles held,$(SCALING_PARTS)),cluster install) ## the cost of 3,000 replicas' load, a step of load, starts from zero, kills, and held requests; PARTS="collector step zero cycles held" SECONDS=30 MINUTES=10 CYCLES=20 REQUESTS=100000 SEED=1
	@if [ -f .cluster/env ]; then . .cluster/env; fi; $(RUN) python -m tests.bench.scaling $(SCALING_PARTS) --seconds $(or $(SECONDS),30) --minutes $(or $(MINUTES),10) $(if $(CYCLES),--cycles $(CYCLES)) $(if $(REQUESTS),--requests $(REQUESTS)) --seed $(or $(SEED),1)

bench-route: cluster install ## a request through Traefik and Envoy Gateway beside one to the pod; builds Envoy Gateway once
	@UV="$(UV)" $(CLUSTER_SCRIPTS)envoy.sh
	@. .cluster/env && $(RUN) python -m tests.bench.route
	@$(CLUSTER_SCRIPTS)envoy.sh --remove

soak: ## random histories on a cluster of its own while its parts are killed; MINUTES=10 SEED=… CHAINS=3 KILLS=operator,build,…
	@UV="$(UV)" OTHER_CLUSTER=modelyard-soak OTHER_REGISTRY_PORT=5002 LONGEST_RESTART_SECONDS=20 $(CLUSTER_SCRIPTS)beside.sh $(RUN) python -m tests.soak

test-move: cluster install ## namespaces move to a second cluster by the steps of docs/backup.md; 5 minutes, not in CI
	@. .cluster/env && UV="$(UV)" OLD_KUBECONFIG=$$KUBECONFIG $(CLUSTER_SCRIPTS)beside.sh $(RUN) python -m tests.move

clean: cluster-clean ## take down and remove all that was started and made here; caches stay
	rm -rf build dist .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

distclean: cluster-distclean clean ## the same, and the caches

$(VENV): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --all-extras --quiet
	@touch $@

cluster: | $(UV)
image install demo bench-operator bench-build bench-route bench-walls soak test-move chart-docs: | $(VENV)

$(CURDIR)/build/tools/bin/uv:
	@echo "uv is not here: a copy goes to build/tools"
	@python3 -m venv build/tools || { echo "python3 with venv is missing (Debian: apt-get install python3-venv)"; exit 1; }
	@build/tools/bin/pip install --quiet --require-hashes --only-binary :all: --requirement tests/cluster/uv-requirements.txt
