"""Count the predecessor's tests: `python -m tests.conformance.predecessor CHECKOUT`.

CHECKOUT is a folder with https://github.com/microsoft/azureml-inference-server, version 1.5.1. Each test runs
twice: with the predecessor's package absent from the driver's environment, and installed in it. The command
fails if a test differs that `verdicts` does not name, or passes although it is named.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conformance.predecessor import suite
from tests.conformance.predecessor.suite import Result
from tests.conformance.predecessor.verdicts import (
    COUNTS,
    DIFFERENCES,
    FAILED_LINES,
    LOG_TEXTS,
    NOT_APPLICABLE,
    OPENAPI,
    TESTS,
    TIMED,
    WITHOUT_FLASK,
)
from tests.conformance.scoring.servers import BUILD, prepare, prepare_predecessor_tests

MOST_RUNS = 20
"""Runs of a test with a tight limit of time."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    checkout = parser.parse_args().checkout
    prepare()
    tests = prepare_predecessor_tests()
    suite.prepare(checkout)
    failed = 0
    for name, driver, differences in (
        ("absent", "driver", {**DIFFERENCES, **WITHOUT_FLASK}),
        ("installed", "azmlinfsrv", DIFFERENCES),
    ):
        results = suite.run(tests, BUILD / driver, BUILD / "runtime")
        _repeat_timed(results, tests, BUILD / driver)
        failed += _report(name, results, differences)
    return 1 if failed else 0


def _repeat_timed(results: dict[str, Result], tests: Path, driver: Path) -> None:
    for _ in range(MOST_RUNS - 1):
        again = [name for name, one in results.items() if name.startswith(TIMED) and one.outcome == "failed"]
        if again:
            results |= suite.run(tests, driver, BUILD / "runtime", again)


def _report(name: str, results: Mapping[str, Result], differences: Mapping[str, str]) -> int:
    """Print the count, and each test without the expected verdict. Return the number of those."""
    verdicts = {test: _verdict(test, result, differences) for test, result in results.items()}
    wrong = {test: text for test, text in verdicts.items() if text.startswith("FAILED")}
    unseen = {*differences, *LOG_TEXTS, *NOT_APPLICABLE} - {_plain(test) for test in results}
    wrong |= dict.fromkeys(unseen, "FAILED: it has not run")
    if len(results) != TESTS:
        wrong[name] = f"FAILED: {len(results)} tests have run, not {TESTS}"
    kinds = Counter(text.partition(":")[0] for text in verdicts.values())
    counts = kinds["passed"], kinds["differs"], kinds["not applicable"]
    if counts != COUNTS[name]:
        wrong["verdicts.COUNTS"] = f"FAILED: {counts}"
    print(f"the predecessor's package {name}: {len(results)} tests: {counts[0]} pass", end=", ")
    print(f"{counts[1]} differ by name, {counts[2]} are not applicable, {len(wrong)} unexpected")
    for text, count in sorted(Counter(verdicts.values()).items()):
        print(f"  {count:3} {text}")
    for test, text in wrong.items():
        print(f"{text}: {test}")
    return len(wrong)


def _verdict(test: str, result: Result, differences: Mapping[str, str]) -> str:
    """Return `passed`, `differs: …`, `not applicable: …`, or `FAILED: …` for an unexpected result."""
    plain = _plain(test)
    if plain in NOT_APPLICABLE:
        return f"not applicable: {NOT_APPLICABLE[plain]}"
    if plain in LOG_TEXTS:
        is_named = result.outcome == "passed" and bool(result.log_texts)
        return f"differs: {LOG_TEXTS[plain]}" if is_named else f"FAILED: {result}"
    if plain in differences:
        subject = differences[plain]
        is_named = result.outcome == "failed" and re.search(FAILED_LINES[subject], result.failed_line)
        if subject == OPENAPI and not _is_known_structure(result.documents):
            return "FAILED: another structure of the OpenAPI document"
        return f"differs: {subject}" if is_named else f"FAILED: {result}"
    return "passed" if result.outcome == "passed" and not result.log_texts else f"FAILED: {result}"


def _plain(test: str) -> str:
    return test.partition("[")[0]


def _is_known_structure(documents: list[str]) -> bool:
    """Return True if each document has the structure of one that the predecessor's tests expect."""
    files = (suite.FOLDER / "server" / "data" / "swagger").glob("expected_*.json")
    expected = [_structure(json.loads(file.read_text())) for file in files]
    return bool(documents) and all(_structure(json.loads(text)) in expected for text in documents)


def _structure(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without descriptions, and without the rows of docs/scoring-differences.md."""
    plain: dict[str, Any] = _without_descriptions(document)
    for path, item in plain["paths"].items():
        operation = item.get("get", {})
        if path.endswith("/swagger.json"):
            operation.pop("security", None)
            del operation["responses"]["200"]
        if path.endswith("/"):
            operation.pop("security", None)
            operation.pop("produces", None)
            response = operation["responses"]["200"]
            response.pop("examples", None)
            response.get("schema", {}).pop("example", None)
    return plain


def _without_descriptions(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_descriptions(one)
            for key, one in value.items()
            if not (key == "description" and isinstance(one, str))
        }
    return [_without_descriptions(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
