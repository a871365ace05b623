"""The rules of plain English, each with a text that breaks it and one that keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lint import prose
from tests.lint.prose import check_file, main

LONG = "The operator " + "reads one more word " * 6 + "."


def findings(folder: Path, name: str, text: str) -> list[tuple[int, str]]:
    """Return the findings in a file with this text."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return [(line, found) for line, found in check_file(file)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (LONG, "26 words, at most 25"),
        ("The build starts anew.", '"anew"'),
        ("The server ends by itself.", '"by itself"'),
        ("The operator writes what it reads. See what is new.", '"what is" in place of a noun'),
        ("What the operator reads.", '"What the" in place of a noun'),
        ("Whoever waits gets an answer.", '"Whoever"'),
        ("The queue is kept for ever.", "archaism"),
    ],
)
def test_sentence_that_breaks_a_rule_is_found(tmp_path: Path, line: str, rule: str) -> None:
    [(number, found)] = findings(tmp_path, "page.md", f"# Title\n\nA plain line.\n\n{line}\n")
    assert (number, found[: len(rule)]) == (5, rule)


@pytest.mark.parametrize(
    "text",
    [
        "Users who have no cluster read what to do in `README.md`. " * 3,
        "```\n" + LONG + "\n```\n",
        "| column | other |\n|---|---|\n| " + LONG[:55] + " | " + LONG[55:] + " |\n",
        "- Ten words in each of the many items of this list,\n" * 5,
        f"<!--\n{LONG}\n-->\n",
        "# Seven words in a title without stop\n" + "The words of a sentence that follows count alone. " * 2,
    ],
)
def test_plain_document_passes(tmp_path: Path, text: str) -> None:
    assert findings(tmp_path, "page.md", text) == []


@pytest.mark.parametrize(
    ("docstring", "rule"),
    [
        ("Whether it runs or not.", "begins with neither a verb nor a noun"),
        ("Of the right form.", "begins with neither a verb nor a noun"),
        ("See Builder.", "fewer than 3 words"),
    ],
)
def test_docstring_that_breaks_a_rule_is_found(tmp_path: Path, docstring: str, rule: str) -> None:
    [(line, found)] = findings(
        tmp_path, "module.py", f'"""Return the answer."""\n\ndef f():\n    """{docstring}"""\n'
    )
    assert (line, found[: len(rule)]) == (4, rule)


def test_comment_on_several_lines_is_one_text(tmp_path: Path) -> None:
    half = "# seven words are on each single line\n"
    assert findings(tmp_path, "module.py", half * 3 + "\n" + half) == []
    [(line, _)] = findings(tmp_path, "module.py", "x = 1\n" + half * 4)
    assert line == 2


def test_comments_for_tools_are_no_english(tmp_path: Path) -> None:
    assert findings(tmp_path, "module.py", f"x = 1  # noqa: S104 {LONG}\n") == []


@pytest.mark.parametrize(("name", "count"), [("test_it_gives_up", 1), ("test_queue_gives_up", 0)])
def test_name_of_a_test_begins_with_its_subject(tmp_path: Path, name: str, count: int) -> None:
    assert len(findings(tmp_path, "test_module.py", f"def {name}():\n    pass\n")) == count


def test_exit_code_tells_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_text("A plain line.\n", encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    (tmp_path / "page.md").write_text("A line, made anew.\n", encoding="utf-8")
    assert main([str(tmp_path)]) == 1
    assert 'page.md:1: "anew": A line, made anew. …\nprose: 1 findings\n' in capsys.readouterr().out


def test_message_that_breaks_a_rule_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prose, "MESSAGES", tmp_path)
    code = f'"""Print a message."""\n\nprint(f"{{NAME}}: {LONG}")\nprint("a plain message of seven words")\n'
    [(line, found)] = findings(tmp_path, "module.py", code)
    assert (line, found[:12]) == (3, "27 words, at")
