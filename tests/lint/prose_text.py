"""Extract the passages of English from Markdown and from Python source."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Final, NamedTuple

_FENCE: Final = re.compile(r" *(```|~~~)")
_ITEM: Final = re.compile(r" *([-*+] |\d+\. |> )")
_HEADING: Final = re.compile(r"#+ ")
_COLUMNS: Final = re.compile(r" *\S+ {2,}\S")  # a name, and its explanation further right
_NO_TEXT: Final = re.compile(r"[-=:| ]*$|.*[─│├└]")  # rules of tables, and trees drawn with lines
_CODE: Final = re.compile(r"``.+?``|`[^`]*`|\{\{.*?\}\}")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_URL: Final = re.compile(r"https?://\S+[^\s.,;:)]")
_COMMENT: Final = re.compile(r"<!--.*?-->|\{\{-? */\*.*?\*/ *-?\}\}", re.DOTALL)
_CELL_BORDER: Final = re.compile(r"(?<!\\)\|")
# Comments for tools, such as those of ruff and mypy.
_PRAGMA: Final = re.compile(r"#\s*(noqa|type:|shellcheck|pragma:|fmt:|ruff:|mypy:|!)")

_WORDS_OF_MESSAGE: Final = 5  # at least; shorter texts are names and parts of sentences

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Passage(NamedTuple):
    """A piece of English that stands alone, with the line of the source where it begins."""

    line: int
    text: str
    is_docstring: bool = False
    """True for the first paragraph of a docstring; attributes have docstrings too."""
    is_attribute: bool = False


def _plain(text: str) -> str:
    """Return `text` on one line, each code span, link and URL as one word."""
    text = _CODE.sub("Code", " ".join(text.split()))
    return _URL.sub("Link", _LINK.sub(r"\1", text)).replace("**", "")


def _passages(text: str, line: int) -> Iterator[Passage]:
    """Yield the paragraphs, list items, headings and table cells of `text`, which begins at `line`."""
    paragraph: list[str] = []
    start = line
    in_fence = False
    for number, content in enumerate([*text.split("\n"), ""], line):
        is_fence, is_row = bool(_FENCE.match(content)), content.lstrip().startswith("|")
        is_text = not (in_fence or is_fence or is_row or _NO_TEXT.match(content))
        begins = _ITEM.match(content) or _HEADING.match(content) or _COLUMNS.match(content)
        if paragraph and (not is_text or begins or paragraph[-1].endswith(":")):
            yield Passage(start, _plain(" ".join(paragraph)))
            paragraph = []
        if is_text:
            start = start if paragraph else number
            paragraph.append(
                _ITEM.sub("", content, count=1).strip() + (":" if _HEADING.match(content) else "")
            )
        elif is_row and not in_fence and not _NO_TEXT.match(content):
            yield from (Passage(number, _plain(cell)) for cell in _CELL_BORDER.split(content) if cell.strip())
        in_fence ^= is_fence


def markdown(source: str) -> Iterator[Passage]:
    """Yield the passages of a Markdown document, without its code blocks and comments."""
    return _passages(_COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source), 1)


def docstrings(source: str) -> Iterator[Passage]:
    """Yield the docstrings of a module, of its classes and functions, and of their attributes."""
    tree = ast.parse(source)
    documented = {id(node.body[0]) for node in ast.walk(tree) if isinstance(node, _Documented) and node.body}
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text)), lineno=line):
                summary, _, rest = text.partition("\n\n")
                yield Passage(
                    line, _plain(summary), is_docstring=True, is_attribute=id(node) not in documented
                )
                yield from _passages(rest, line + summary.count("\n") + 2)


def messages(source: str) -> Iterator[Passage]:
    """Yield the texts of the code that are sentences: messages, help of options and lines of logs."""
    tree = ast.parse(source)
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Expr | ast.JoinedStr)]
    parts = {id(child) for node in strings for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=values, lineno=line):
                texts = [part.value if isinstance(part, ast.Constant) else "Code" for part in values]
                text = "".join(str(part) for part in texts)
            case ast.Constant(value=str(text), lineno=line) if id(node) not in parts:
                pass
            case _:
                continue
        if "\n" not in text.strip() and len(text.split()) >= _WORDS_OF_MESSAGE:
            yield Passage(line, _plain(text))


def comments(source: str) -> Iterator[Passage]:
    """Yield the comments; those on lines that follow each other are one text."""
    block: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or _PRAGMA.match(token.string):
            continue
        line, column = token.start
        stands_alone = not token.line[:column].strip()
        if block and not (stands_alone and line == last + 1):
            yield from _passages("\n".join(block), start)
            block = []
        start = start if block else line
        last = line if stands_alone else 0
        block.append(token.string.lstrip("#").strip())
    yield from _passages("\n".join(block), start)


def names_of_tests(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each test function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name
