"""Examples in the documentation: their parts, the comparison of outputs, and blocks that no test reads."""

from __future__ import annotations

import importlib.util
import re
from itertools import pairwise
from types import ModuleType

import pytest
from tests.docs.output import difference
from tests.docs.pages import LANGUAGES, PAGES, ROOT, examples, parse

PAGE = """\
```bash
date
```
```text
today
```
Some prose.

<!-- not run: needs
     a tool -->
```bash
tool
```

Some prose.

```text
a drawing
```
"""


def test_output_belongs_to_the_commands_right_above() -> None:
    date, tool, drawing = parse("page.md", PAGE)
    assert (date.place, date.text, date.output, date.skipped) == ("page.md:1", "date\n", "today\n", "")
    assert (tool.text, tool.output, tool.skipped) == ("tool\n", None, "needs a tool")
    assert (drawing.language, drawing.output) == ("text", None)


@pytest.mark.parametrize(
    ("promised", "printed"),
    [
        ("42.0", "42.0\n"),
        ("NAME  AGE\nline  4s", "NAME     AGE\nline     3m20s\n"),
        ("[…]", "[163.33, 2]"),
        ("start\n…\nend", "start\none\ntwo\nend"),
        ("start\n…\nend", "start\nend"),
        ("start\n…", "start"),
        ("…\nend", "one\nend"),
        ("sha256:" + "a" * 64, "sha256:" + "b" * 64),
        ("at 2026-01-02T03:04:05Z", "at 2031-11-12T13:14:15Z"),
    ],
)
def test_promised_output_is_found(promised: str, printed: str) -> None:
    assert difference(promised, printed) is None


@pytest.mark.parametrize(
    ("promised", "printed"),
    [
        ("42.0", "43.0"),
        ("42.0", "42.0\nerror: lost connection"),
        ("42.0", ""),
        ("line  4s", "line  never"),
        ("start\n…\nend", "start\none"),
        ("a.b", "axb"),
        ("version 3.11", "version 3.12"),
        ("sha256:" + "a" * 64, "sha256:"),
    ],
)
def test_other_output_is_noticed(promised: str, printed: str) -> None:
    problem = difference(promised, printed)
    assert problem is not None
    assert promised in problem


@pytest.mark.parametrize("page", PAGES)
def test_each_block_of_a_page_is_of_a_kind_that_tests_read(page: str) -> None:
    assert [item.place for item in examples(page) if item.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_no_prompt(page: str) -> None:
    prompts = [
        item.place for item in examples(page) if item.language == "bash" and item.text.startswith("$ ")
    ]
    assert prompts == []


def load_reference() -> ModuleType:
    """Return the module docs/write_reference.py."""
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "docs" / "write_reference.py")
    assert spec
    assert spec.loader
    write_reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_reference)
    return write_reference


def test_reference_is_current() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == load_reference().page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES)
def test_each_exclusion_is_right_above_a_block(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    comments = re.findall(r"^\s*<!--\s*not[\s-]*run", text, re.MULTILINE | re.IGNORECASE)
    assert len(comments) == sum(1 for item in examples(page) if item.skipped)


@pytest.mark.parametrize("page", PAGES)
def test_each_output_is_right_below_its_commands(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").split("\n")
    apart = []
    for before, item in pairwise(examples(page)):
        end = before.line + before.text.count("\n") + 1
        is_near = not any(line.startswith("#") for line in lines[end : item.line - 1])
        if item.language == "text" and before.language == "bash" and is_near:
            apart.append(item.place)
    assert apart == [], "no test compares these outputs"


@pytest.mark.parametrize("page", PAGES)
def test_each_output_promises_some_text(page: str) -> None:
    outputs = {item.place: item.output for item in examples(page) if item.output and not item.skipped}
    assert [place for place, output in outputs.items() if not re.search(r"\w", output)] == []
