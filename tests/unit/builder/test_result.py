"""Results of builds."""

from __future__ import annotations

import io

from modelyard.builder.log import BuildLog
from modelyard.builder.result import encode_result, failure_result
from modelyard.contract.build_request import BuildResult
from modelyard.contract.errors import BuildFailedError


def _log(*lines: str) -> BuildLog:
    log = BuildLog(io.StringIO())
    for line in lines:
        log.write(line)
    return log


def test_result_fits_into_a_termination_message() -> None:
    lines = [f"{number} " + 'é"\\' * 300 for number in range(30)]
    text = encode_result(failure_result(BuildFailedError('"' * 5000), _log(*lines)))
    assert len(text) <= 4096
    error = BuildResult.model_validate_json(text).error
    assert error is not None
    assert error.details[-1].message.startswith("29 ")
    assert len(error.message) == 1500


def test_result_has_the_last_lines_of_the_log() -> None:
    error = failure_result(BuildFailedError("m"), _log(*(f"line {number}" for number in range(30)))).error
    assert error is not None
    assert [detail.message for detail in error.details] == [f"line {number}" for number in range(15, 30)]
