"""Content that servers send in place of a file: pointers of Git LFS and HTML pages, such as login forms.

A build with one of them would succeed, and the driver would fail with "invalid load key, 'v'" or "'<'".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from modelyard.contract.errors import SourceRefusedError
from modelyard.sizes import human

_HEAD_BYTES: Final = 1024
"""Pointers of Git LFS are shorter: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""
_POINTER: Final = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?size (?P<size>[0-9]{1,18})\n"
)
_HTML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)


def checked_chunks(chunks: Iterator[bytes], url: str, *, is_html_allowed: bool) -> Iterator[bytes]:
    """Yield the chunks of a file from its first byte on. `url` is for the message, without credentials.

    Raises SourceRefusedError for a pointer of Git LFS, and for an HTML page unless it is allowed.
    """
    read: list[bytes] = []
    try:
        while sum(map(len, read)) < _HEAD_BYTES and (chunk := next(chunks, None)) is not None:
            read.append(chunk)
    except Exception:
        yield from read  # the next attempt resumes after these bytes
        raise
    head = b"".join(chunk[:_HEAD_BYTES] for chunk in read)[:_HEAD_BYTES]
    if pointer := _POINTER.match(head):
        raise SourceRefusedError(
            f"{url} is a pointer of Git LFS to a file of {human(int(pointer['size']))}, not the file. Use the"
            " url of the file itself: on Hugging Face with /resolve/ for /raw/, on GitHub"
            " https://media.githubusercontent.com/media/<owner>/<repository>/<branch>/<path>"
        )
    if not is_html_allowed and is_html(head):
        raise SourceRefusedError(
            f"{url} is an HTML page, not a file of data: use the url that downloads the file, and secretRef"
            " if the page is a login. To use the page itself, name it .html in the url, or set its digest"
        )
    yield from chain(read, chunks)


def is_html(head: bytes) -> bool:
    """Return True if a file begins as an HTML page."""
    return _HTML.match(head) is not None


def is_pointer(file: Path) -> bool:
    """Return True if a file on the disk is a pointer of Git LFS. A link is none."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > _HEAD_BYTES:
        return False
    return _POINTER.match(file.read_bytes()) is not None
