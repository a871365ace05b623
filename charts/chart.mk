# The image and the chart: make image, make install, make uninstall.
CHART_SCRIPTS := $(dir $(lastword $(MAKEFILE_LIST)))

.PHONY: image install uninstall chart-docs

image: ## build the image of operator and builder, and push it to the cluster's registry
	@UV="$(UV)" $(CHART_SCRIPTS)image.sh

install: image ## install the chart, or upgrade it, into the cluster of .cluster/env; HELM_ARGS="--set …"
	@$(CHART_SCRIPTS)install.sh $(HELM_ARGS)

uninstall: ## remove the operator; CRDs and what users made of them stay
	@$(CHART_SCRIPTS)uninstall.sh

chart-docs: ## write the values' table of the chart's README from values.yaml
	@$(UV) run --frozen python $(CHART_SCRIPTS)values_table.py
