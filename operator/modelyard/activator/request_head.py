"""The head of an HTTP/1 request: its end, its errors, and its Connection header.

The activator forwards the head byte for byte, except for the Connection header. A replica could see other
lines in a head with a lone CR or LF, a NUL or a folded line. So such a head is refused.
https://www.rfc-editor.org/rfc/rfc9112#section-5.2
"""

from __future__ import annotations

import re
from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024

_END: Final = b"\r\n\r\n"
_CLOSE: Final = b"Connection: close"
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(_TOKEN + rb" [!-~\x80-\xff]+ HTTP/([0-9]\.[0-9])")
_FIELD_LINE: Final = re.compile(rb"(" + _TOKEN + rb"):[^\r\n\0]*")


class HeadError(Exception):
    """A head that is not forwarded: the status of the response, and the reason for the caller."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message


class HeadReader:
    """Collects the bytes of a connection until the end of the first head."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0

    @property
    def is_empty(self) -> bool:
        """Return whether no byte has come, apart from empty lines before the request line."""
        return not self._data

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Add bytes; return the head and the bytes after it, None if the end has not come.

        Raises HeadError if the head is too long or is not a valid one.
        """
        self._data += data
        if self._data.startswith((b"\r", b"\n")):
            del self._data[: len(self._data) - len(self._data.lstrip(b"\r\n"))]
            self._searched = 0
        end = self._data.find(_END, max(0, self._searched - len(_END) + 1))
        self._searched = len(self._data)
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._data) > MAX_HEAD_BYTES):
            raise HeadError(431, f"the head of the request has more than {MAX_HEAD_BYTES} bytes")
        if end < 0:
            return None
        head, rest = bytes(self._data[: end + len(_END)]), bytes(self._data[end + len(_END) :])
        _check(head)
        return head, rest


def _check(head: bytes) -> None:
    request_line, *fields = head.removesuffix(_END).split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise HeadError(400, "the request line is not valid")
    if match[1] not in {b"1.0", b"1.1"}:
        raise HeadError(505, "the version of HTTP must be 1.0 or 1.1")
    if not all(_FIELD_LINE.fullmatch(line) for line in fields):
        raise HeadError(400, "a header line of the request is not valid")


def is_bodiless(head: bytes) -> bool:
    """Return whether the response to a head has no body: the method is HEAD."""
    return head.startswith(b"HEAD ")


def with_close(head: bytes) -> bytes:
    """Return a valid head whose only Connection header is `Connection: close`.

    A client and a data plane then open another connection, which reaches a replica without the activator.
    """
    lines = head.removesuffix(_END).split(b"\r\n")
    places = [number for number, line in enumerate(lines) if number and _is_connection(line)]
    place = places[0] if places else len(lines)
    others = [(number, line) for number, line in enumerate(lines) if number not in places]
    before = [line for number, line in others if number < place]
    after = [line for number, line in others if number > place]
    return b"\r\n".join([*before, _CLOSE, *after]) + _END


def _is_connection(line: bytes) -> bool:
    return line.partition(b":")[0].lower() == b"connection"
