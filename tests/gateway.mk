# The REST gateway's own suites. The local cluster's chart gets the gateway with a certificate of its own.
.PHONY: conformance-api bench-api

GATEWAY_INSTALL = $(CHART_SCRIPTS)install.sh --values tests/conformance/api/values.yaml $(ROUTING) $(HELM_ARGS)

conformance-api: cluster image ## every row of the 2017 API against the installed gateway
	@. .cluster/env && tests/conformance/api/certificate.sh && $(GATEWAY_INSTALL)
	rm -rf build/api-rows && mkdir -p build/api-rows
	. .cluster/env && API_ROWS=build/api-rows $(RUN) pytest tests/conformance/api --quiet -m "not alone" --numprocesses 2 --dist loadfile
	. .cluster/env && API_ROWS=build/api-rows $(RUN) pytest tests/conformance/api --quiet -m alone

bench-api: cluster image ## reads and creates through the gateway beside the API server's own
	@. .cluster/env && tests/conformance/api/certificate.sh && $(GATEWAY_INSTALL) --set gateway.serviceType=NodePort
	@. .cluster/env && $(RUN) python -m tests.bench.gateway
