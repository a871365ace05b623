"""The ids of a request: echoed or generated, and combined as the Azure ML containers combine them."""

import os
from typing import Final

from modelyard.scoring.front import errors
from modelyard.scoring.front.messages import HttpRequest, HttpResponse

MAX_ID_CHARACTERS: Final = 100
"""Longer request ids get 431 (the Azure ML containers' rule)."""

_NEW_IDS: Final = 256
"""Ids that one read of random bytes serves: uuid.uuid4() costs tenfold."""


class RequestIds:
    """Gives requests their ids."""

    def __init__(self) -> None:
        self._new_ids: list[bytes] = []

    def identify(self, request: HttpRequest) -> HttpResponse | None:
        """Set the request's id and the response's id headers. Return a refusal if an id is too long."""
        headers = request.headers
        sent_id = headers.get(b"x-request-id")
        own = sent_id or self._new_id()
        request.request_id = own.decode("latin-1")
        legacy = headers.get(b"x-ms-request-id")
        client = headers.get(b"x-ms-client-request-id") or legacy
        trace = headers.get(b"traceid")
        if legacy is client is trace is None:
            if sent_id is None or len(sent_id) <= MAX_ID_CHARACTERS:
                request.response_lines = b"x-request-id: %b\r\nx-ms-request-id: %b\r\n" % (own, own)
                return None
        elif max(len(own), len(legacy or b""), len(client or b"")) <= MAX_ID_CHARACTERS:
            lines = [b"x-request-id: " + own, b"x-ms-request-id: " + (legacy or client or own)]
            if client:
                lines.append(b"x-ms-client-request-id: " + client)
            if trace is not None:
                lines.append(b"TraceId: " + trace)
            request.response_lines = b"\r\n".join([*lines, b""])
            return None
        names = "x-request-id"
        if len(own) <= MAX_ID_CHARACTERS:
            request.response_lines = b"x-request-id: %b\r\n" % own
            names = "x-ms-request-id and x-ms-client-request-id"
        return errors.ID_TOO_LONG.response(names=names, most=MAX_ID_CHARACTERS)

    def _new_id(self) -> bytes:
        """Return a version 4 UUID."""
        if not self._new_ids:
            digits = os.urandom(16 * _NEW_IDS).hex().encode()
            self._new_ids = [_uuid(digits[start : start + 32]) for start in range(0, len(digits), 32)]
        return self._new_ids.pop()


def _uuid(digits: bytes) -> bytes:
    parts = digits[:8], digits[8:12], digits[13:16], digits[17:20], digits[20:]
    return b"%b-%b-4%b-a%b-%b" % parts
