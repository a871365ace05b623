# The scoring runtime: its contract and its speed. Both install what they need under build/.

.PHONY: conformance-scoring bench-scoring
conformance-scoring: ## the contract suite, against the runtime and azureml-inference-server-http
	$(RUN) python -m tests.conformance.scoring
