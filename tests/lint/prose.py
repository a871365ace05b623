"""Check the plain English of documents, messages, docstrings, comments and test names.

`python -m tests.lint.prose [PATH…]` prints one line for each finding, and exits with 1 if there are any.
A PATH is a file or a folder; the default is the whole repository. The rules are those of CONTRIBUTING.md, and
proselint's.
"""

from __future__ import annotations

import os
import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from proselint.checks import __register__ as proselint_checks
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.tools import LintFile
from tests.lint.prose_text import Passage, comments, docstrings, markdown, messages, names_of_tests

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "charts", "crds")
PYTHON: Final = ("operator", "tests")
MESSAGES: Final = ROOT / "operator" / "modelyard"  # texts in the code are for users
MOST_WORDS: Final = 25  # of a sentence
FEWEST_WORDS: Final = 3  # of the first sentence of a docstring

_SENTENCE_END: Final = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)[.!?][)\"'*_]*\s+(?=[^a-z\s])")
_WORD: Final = re.compile(r"\S*[A-Za-z0-9]\S*")
_BANNED: Final = re.compile(
    r"\b(anew|nobody|whoever|whatever|whichever|whomever|meanwhile|mend(s|ed|ing)?|by (itself|themselves)"
    r"|of (its|their) own accord|so many|alike)\b",
    re.IGNORECASE,
)
# Not in place of a noun: "users who …", "what to do".
_CLAUSE: Final = re.compile(
    r"(?:^|[,;:(]\s|\b(?:of|for|to|by|from|with|without|and|or|but|nor|is|are|was|than|tells?|says?|see|in|on|at)\s)"
    r"((?:who|whom|what)\b(?! to\b)\s+\w+)",
    re.IGNORECASE,
)
_FRAGMENT: Final = re.compile(r"(Of|What|Who|Whose|Whether|It|That|Those|These|They|Where|And|Nor|But)\b")
_TEST_NAME: Final = re.compile(
    r"test_(it|its|they|that|this|those|these|and|or|nor|but|so|who|whose|what|which|whoever|whatever)_"
)
# Not for technical text: quotation marks of print, words that a table repeats.
_PROSELINT_OFF: Final = ("typography", "lexical_illusions", "annotations", "misc.phrasal_adjectives")
_PROSELINT: Final = DEFAULT | {"checks": DEFAULT["checks"] | dict.fromkeys(_PROSELINT_OFF, False)}
CheckRegistry().register_many(proselint_checks)


class Finding(NamedTuple):
    """A sentence or name that breaks a rule."""

    line: int
    text: str


def check_passage(passage: Passage) -> Iterator[Finding]:
    """Yield the findings in a paragraph, a docstring or a comment."""
    for sentence in _SENTENCE_END.split(passage.text):
        start = " ".join(sentence.split()[:6])
        words = len(_WORD.findall(sentence))
        if words > MOST_WORDS:
            yield Finding(passage.line, f"{words} words, at most {MOST_WORDS}: {start} …")
        for word in _BANNED.finditer(sentence):
            yield Finding(passage.line, f'"{word[0]}": {start} …')
        for clause in _CLAUSE.finditer(sentence):
            yield Finding(passage.line, f'"{clause[1]}" in place of a noun: {start} …')
    if passage.is_docstring and _FRAGMENT.match(passage.text):
        yield Finding(passage.line, f"begins with neither a verb nor a noun: {passage.text}")
    if passage.is_docstring and not passage.is_attribute and len(passage.text.split()) < FEWEST_WORDS:
        yield Finding(passage.line, f"fewer than {FEWEST_WORDS} words: {passage.text}")


def check_with_proselint(passages: list[Passage]) -> Iterator[Finding]:
    """Yield proselint's findings."""
    content = "\n\n".join(passage.text for passage in passages)
    starts = list(accumulate((len(passage.text) + 2 for passage in passages), initial=0))
    for found in LintFile("passages", content).lint(_PROSELINT):
        check, message, (start, _) = found.check_result[:3]
        passage = passages[
            bisect_right(starts, start - 1) - 1
        ]  # proselint puts a line break before the content
        yield Finding(passage.line, f"{check}: {message}")


def check_file(file: Path) -> Iterator[Finding]:
    """Yield the findings in a file, in the order of its lines."""
    source = file.read_text(encoding="utf-8")
    is_python = file.suffix == ".py"
    passages = [*docstrings(source), *comments(source)] if is_python else list(markdown(source))
    if is_python and MESSAGES in file.resolve().parents:
        passages += messages(source)
    findings = [finding for passage in passages for finding in check_passage(passage)]
    findings += check_with_proselint(passages) if passages else []
    for line, name in names_of_tests(source) if is_python else ():
        if _TEST_NAME.match(name):
            findings.append(Finding(line, f"begins with a pronoun or a conjunction: {name}"))
    yield from sorted(findings)


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the documents and Python files among `paths` and below them."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in {".md", ".py"} or file.name == "NOTES.txt":
                yield file


def main(arguments: list[str]) -> int:
    """Print all findings; return the exit code."""
    paths = [Path(argument) for argument in arguments] or [ROOT / name for name in (*DOCUMENTS, *PYTHON)]
    count = 0
    for file in files_of(path for path in paths if path.exists()):
        for finding in check_file(file):
            count += 1
            sys.stdout.write(f"{os.path.relpath(file)}:{finding.line}: {finding.text}\n")
    sys.stdout.write(f"prose: {count} findings\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
