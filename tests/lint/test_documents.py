"""Links between documents, and statements of documents about files of the repository."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.docs.pages import PAGES, ROOT, examples

PACKAGE: Final = ROOT / "operator" / "modelyard"
# No pages for users: the entries of the changelog, and the notes of the local cluster.
WITHOUT_EXAMPLES: Final = frozenset({"CHANGELOG.md", "tests/cluster/README.md"})
DOCUMENTS: Final = (*PAGES, *sorted(WITHOUT_EXAMPLES))
_PATH: Final = re.compile(r"\b(?:tests|charts|docs|crds)/[\w./-]*\w")
_TARGET: Final = re.compile(r"\bmake ((?:[a-z][a-z0-9-]*[a-z0-9] ?)+)")


def _tokens(document: str) -> Iterator[Token]:
    """Yield the tokens of a document, with those within paragraphs and headings."""
    for token in MarkdownIt().enable("table").parse((ROOT / document).read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def _anchors(document: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    found: Counter[str] = Counter()
    anchors = set()
    for heading, content in pairwise(_tokens(document)):
        if heading.type == "heading_open":
            title = "".join(part.content for part in content.children or ())
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            anchors.add(f"{slug}-{found[slug]}" if found[slug] else slug)
            found[slug] += 1
    return anchors


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    links = [str(token.attrs["href"]) for token in _tokens(document) if token.type == "link_open"]
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        if "://" in link:
            continue
        if not target.exists() or (
            anchor and anchor not in _anchors(str(target.resolve().relative_to(ROOT)))
        ):
            broken.append(link)
    assert broken == []


def test_each_document_is_a_page_or_has_no_examples() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(listed) == {*PAGES, *WITHOUT_EXAMPLES}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_make_targets_exist(document: str) -> None:
    makefiles = [ROOT / "Makefile", *(ROOT / "charts").glob("*.mk"), *(ROOT / "tests").rglob("*.mk")]
    rules = "\n".join(file.read_text(encoding="utf-8") for file in makefiles)
    targets = {
        name for line in re.findall(r"^([a-z][a-z0-9 -]*):", rules, re.MULTILINE) for name in line.split()
    }
    code = [token.content for token in _tokens(document) if token.type in {"code_inline", "fence"}]
    named = {name for text in code for names in _TARGET.findall(text) for name in names.split()}
    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES)
def test_reason_of_an_excluded_block_names_files_that_exist(page: str) -> None:
    reasons = [item.skipped for item in examples(page) if item.skipped]
    paths = [path for reason in reasons for path in _PATH.findall(reason)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_architecture_names_each_package_and_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = text.split("## Rooms of the package")[1]
    missing = [
        name for name in _rooms() if f"`{name}`" not in rooms and f"`{name.removesuffix('.py')}`" not in rooms
    ]
    assert missing == []


def test_readme_names_each_package() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("operator/modelyard/\n")[1].split("```")[0]
    assert [name for name in _rooms() if name.endswith("/") and f"  {name} " not in tree] == []


def _rooms() -> list[str]:
    """Return `api/` for a package, and `retry.py` for a module."""
    packages = [f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")]
    modules = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    return sorted([*packages, *modules])


def test_steps_of_an_upgrade_are_in_one_section_of_a_release() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased = changelog.split("\n## ")[1]
    assert "### Upgrade notes" in unreleased
    assert not re.search(r"(?<!\w)Upgrade: ", unreleased), "write the step into the upgrade notes"
