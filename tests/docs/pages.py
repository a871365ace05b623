"""The pages of the documentation, and the examples in them.

CONTRIBUTING.md has the rules for authors: a `bash` block is run, and a `text` block right below it is the
output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    "README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
    "charts/modelyard/README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
)
RUNBOOKS: Final = "docs/runbooks/"
"""The pages whose commands run together, in test_runbooks.py."""

LANGUAGES: Final = frozenset({"bash", "text", "yaml", "json", "python", "dockerfile", "mermaid", "lua"})
_SKIPPED: Final = re.compile(r"<!-- not run: (?P<reason>.+?) -->\s*", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    page: str
    line: int
    """The line of the fence, from 1."""
    language: str
    text: str
    output: str | None = None
    """The text that the page promises as the output; None if the page promises nothing."""
    skipped: str = ""
    """The reason why the block is not run; empty if it is run."""

    @property
    def place(self) -> str:
        """Return the page and the line, `README.md:12`."""
        return f"{self.page}:{self.line}"


def examples(page: str) -> list[Example]:
    """Return the examples of a page. Raises OSError if the page cannot be read."""
    return parse(page, (ROOT / page).read_text(encoding="utf-8"))


def commands(page: str) -> list[Example]:
    """Return the blocks of a page that a test runs, in their order."""
    return [item for item in examples(page) if item.language == "bash" and not item.skipped]


def parse(page: str, markdown: str) -> list[Example]:
    """Return the examples in a text. A block directly below a comment `not run` is marked as skipped."""
    found: list[Example] = []
    skipped = ""
    follows_commands = False
    for token in MarkdownIt().parse(markdown):
        if token.type in {"fence", "code_block"} and token.map:
            language = token.info.strip()
            if language == "text" and follows_commands:
                found[-1] = replace(found[-1], output=token.content)
            else:
                found.append(Example(page, token.map[0] + 1, language, token.content, skipped=skipped))
            follows_commands = language == "bash"
        else:
            follows_commands = False
        match = _SKIPPED.fullmatch(token.content) if token.type == "html_block" else None
        skipped = " ".join(match["reason"].split()) if match else ""
    return found
