"""Request bodies with a Content-Encoding: unpacked before a handler gets the request."""

from collections.abc import Callable
from typing import Final

from modelyard.scoring.front import errors
from modelyard.scoring.front.coding_tasks import INLINE_BYTES, STEP_BYTES, CodingTasks
from modelyard.scoring.front.content_coding import CodingError, Unpacker
from modelyard.scoring.front.messages import HttpRequest, HttpResponse

INLINE_OUTPUT_BYTES: Final = 256 * 1024
"""A body that becomes larger is unpacked in the thread: this size takes 1 ms."""

Reserve = Callable[[HttpRequest, int, int], HttpResponse | None]
"""Counts the memory of a body from its unpacked and its still packed bytes.

Returns a refusal if the unpacked body is too large, or memory is short.
"""


class PackedRequests:
    """Unpacks bodies, and then passes the requests on, with the headers of an unpacked body."""

    def __init__(
        self,
        tasks: CodingTasks,
        reserve: Reserve,
        handle: Callable[[HttpRequest], None],
        refuse: Callable[[HttpRequest, HttpResponse], None],
    ) -> None:
        self._tasks = tasks
        self._reserve = reserve
        self._handle = handle
        self._refuse = refuse

    def unpack(self, request: HttpRequest) -> None:
        """Unpack the request's body, then pass the request on or refuse it, now or later."""
        unpacker = Unpacker(request.coding, request.chunks)
        inline_bytes = INLINE_OUTPUT_BYTES if request.size <= INLINE_BYTES else 0
        request.chunks, request.size = [], 0
        try:
            while request.size < inline_bytes:
                if self._take(request, unpacker, unpacker.read(INLINE_OUTPUT_BYTES)):
                    return
        except CodingError as error:
            self._refuse(request, errors.BODY_INVALID.response(error=error))
            return
        self._tasks.start(request, self._unpack_in_thread(request, unpacker))

    async def _unpack_in_thread(self, request: HttpRequest, unpacker: Unpacker) -> None:
        try:
            while not self._take(request, unpacker, await self._tasks.step(unpacker.read, STEP_BYTES)):
                pass
        except CodingError as error:
            self._refuse(request, errors.BODY_INVALID.response(error=error))

    def _take(self, request: HttpRequest, unpacker: Unpacker, piece: bytes) -> bool:
        """Store a piece of the unpacked body. Return True if the request is passed on or refused."""
        request.size += len(piece)
        refusal = self._reserve(request, request.size, unpacker.packed_bytes)
        if refusal is not None:
            request.chunks = []
            self._refuse(request, refusal)
            return True
        if piece:
            request.chunks.append(piece)
            return False
        headers = request.headers
        del headers[b"content-encoding"]
        if b"content-length" in headers:
            headers[b"content-length"] = b"%d" % request.size
        self._handle(request)
        return True
