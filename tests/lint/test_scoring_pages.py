"""The pages about the scoring contract name tests that exist, and the verdicts of the predecessor's tests."""

import re
from collections import Counter
from pathlib import Path

from tests.conformance.predecessor import verdicts

DOCS = Path(__file__).parents[2] / "docs"


def test_tests_of_the_scoring_contract_exist() -> None:
    links = re.findall(r"\[(\w+)\]\(\.\./([^)]+)\)", (DOCS / "scoring-tests.md").read_text())
    missing = [
        name
        for name, file in links
        if name.startswith("test_") and f"def {name}(" not in (DOCS.parent / file).read_text()
    ]
    assert len(links) > 60
    assert missing == []


def test_page_has_the_verdicts_of_the_predecessors_tests() -> None:
    assert (DOCS / "scoring-differences.md").read_text().endswith(verdicts.section())


def test_every_named_difference_of_a_test_has_a_reason() -> None:
    named = {**verdicts.DIFFERENCES, **verdicts.LOG_TEXTS, **verdicts.WITHOUT_FLASK}
    assert set(named.values()) == verdicts.REASONS.keys() == verdicts.FAILED_LINES.keys()
    assert {sum(counts) for counts in verdicts.COUNTS.values()} == {verdicts.TESTS}
    assert max(Counter([*named, *verdicts.NOT_APPLICABLE]).values()) == 1
