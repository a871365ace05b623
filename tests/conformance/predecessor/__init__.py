"""The predecessor's own tests, run against the scoring runtime.

The tests are those of https://github.com/microsoft/azureml-inference-server, and no part of this repository.
`make conformance-predecessor SUITE=folder` takes a checkout. `verdicts` has the expected result of each test
that does not pass, and docs/scoring-differences.md lists them.
"""
