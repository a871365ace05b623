# The scoring runtime: its contract and its speed. Both install what they need under build/.

.PHONY: conformance-scoring conformance-predecessor fuzz-scoring bench-scoring bench-collect bench-hostile
conformance-scoring: $(VENV) ## the contract suite, against the runtime and azureml-inference-server-http
	$(RUN) python -m tests.conformance.scoring

# No part of CI: the tests of the predecessor are not in this repository.
conformance-predecessor: $(VENV) ## the predecessor's own tests against the runtime; SUITE= is a checkout of its repository
	$(RUN) python -m tests.conformance.predecessor "$(SUITE)"

fuzz-scoring: $(VENV) ## hostile bytes and schemathesis: no 5xx, no restart
	$(RUN) python -m tests.conformance.scoring.fuzz

bench-scoring: $(VENV) ## speed beside other servers; ends with one line of ratios
	$(RUN) python -m tests.bench.scoring

bench-collect: $(VENV) ## replicas that collect beside one that does not, then a million requests with kills; BENCH_ARGS="--rounds 4"
	$(RUN) python -m tests.bench.collect $(BENCH_ARGS)

bench-hostile: $(VENV) ## honest clients of the runtime and the gateway beside slow connections and large heads, on loopback
	$(RUN) python -m tests.bench.hostile
