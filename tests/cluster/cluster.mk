# The local cluster: make cluster, make cluster-clean, make cluster-distclean. See README.md beside this file.
CLUSTER_SCRIPTS := $(dir $(lastword $(MAKEFILE_LIST)))

.PHONY: cluster cluster-clean cluster-distclean

cluster: ## a kind cluster with a registry and metrics; the shell's settings go to .cluster/env
	@UV="$(UV)" $(CLUSTER_SCRIPTS)up.sh

cluster-clean: ## take down what "make cluster" started; caches stay
	@$(CLUSTER_SCRIPTS)down.sh

cluster-distclean: ## the same, and remove the caches
	@$(CLUSTER_SCRIPTS)down.sh --caches
