"""The ids of a request: echoed or made, and paired as the Azure ML containers pair them."""

import os
from typing import Final

from modelyard.scoring.front.messages import (
    Request,
    Response,
    message,
)

MAX_ID_CHARACTERS: Final = 100
"""A request id longer than this gets 431 (the Azure ML containers' rule)."""

_RANDOM_BYTES: Final = 4096


class Ids:
    """Gives requests their ids."""

    def __init__(self) -> None:
        self._random = ""

    def identify(self, request: Request) -> Response | None:
        """Sets the request's id and the header lines that say it. A response when an id is too long."""
        headers = request.headers
        given = headers.get(b"x-request-id")
        own = given or self._new().encode()
        request.request_id = own.decode("latin-1")
        legacy = headers.get(b"x-ms-request-id")
        client = headers.get(b"x-ms-client-request-id") or legacy
        trace = headers.get(b"traceid")
        if legacy is client is trace is None:
            if given is None or len(given) <= MAX_ID_CHARACTERS:
                request.echo = b"x-request-id: %b\r\nx-ms-request-id: %b\r\n" % (own, own)
                return None
        elif max(len(own), len(legacy or b""), len(client or b"")) <= MAX_ID_CHARACTERS:
            lines = [b"x-request-id: " + own, b"x-ms-request-id: " + (legacy or client or own)]
            if client:
                lines.append(b"x-ms-client-request-id: " + client)
            if trace is not None:
                lines.append(b"TraceId: " + trace)
            request.echo = b"\r\n".join([*lines, b""])
            return None
        names = "x-request-id, x-ms-request-id and x-ms-client-request-id"
        return message(431, f"{names} must not exceed {MAX_ID_CHARACTERS} characters")

    def _new(self) -> str:
        """A version 4 UUID; random bytes are fetched for many at once: uuid.uuid4() costs ten times more."""
        if not self._random:
            self._random = os.urandom(_RANDOM_BYTES).hex()
        digits, self._random = self._random[:32], self._random[32:]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
