"""The data that the driver's collectors pass to data collection: records in the spool of this process."""

import atexit
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Final

from modelyard.scoring.spool.batch import Encode, encode_records
from modelyard.scoring.spool.bodies import kept_body
from modelyard.scoring.spool.counts import ENCODE_FAILED
from modelyard.scoring.spool.record import DRIVER, Record
from modelyard.scoring.spool.sampling import is_sample
from modelyard.scoring.spool.segment_writer import SegmentWriter
from modelyard.scoring.spool.settings import CollectionSettings
from modelyard.scoring.spool.spool_writer import SpoolWriter
from modelyard.scoring.worker import msgspec_core
from modelyard.scoring.worker.current_request import current_ids

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 5.0
"""The longest wait for the disk at the end of the process."""

MAX_NAME_CHARACTERS: Final = 100
_OTHER_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]")
"""Names become parts of paths in the storage."""

_OUTPUTS: Final = ("predictions", "outputs")
"""Ends of names whose data is the prediction of a row; other data is its input."""


class DriverData:
    """Collects the data of one process. Any thread may call it, and no method raises or waits.

    A child process that the driver forks has files of its own.
    """

    def __init__(self, settings: CollectionSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._writer: SpoolWriter | None = None
        core = msgspec_core.load()
        if core is None:
            raise ImportError("the runtime has no msgspec, which data collection needs")
        self._encode: Encode = core.MsgpackEncoder().encode
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self._close)

    def collect(self, name: str, data: Callable[[], str | bytes], correlation_id: str = "") -> None:
        """Write a record of JSON text, unless the present request is not among the samples.

        `data` returns the text, and is not called for other requests.
        """
        try:
            request_id, traceparent = current_ids()
            is_kept = is_sample(request_id or correlation_id, self._settings.sample_percent)
            piece = b""
            if is_kept:
                record = self._record(name, data(), request_id, correlation_id, traceparent)
                piece = encode_records(self._encode, [record])
        except Exception:
            log.exception("data of the collector %s cannot be written as JSON, and is dropped", name)
            with self._lock:
                self._started().drop(ENCODE_FAILED)
            return
        with self._lock:
            if piece:
                self._started().put(piece, 1, len(piece))
            else:
                self._started().skip()

    def _record(
        self, name: str, data: str | bytes, request_id: str, correlation_id: str, traceparent: str
    ) -> Record:
        body = data.encode("utf-8", "replace") if isinstance(data, str) else data
        kept, digest = kept_body(body, "application/json", self._settings.body_bytes, len(body))
        is_output = name.endswith(_OUTPUTS)
        empty = ("", 0, b"", b"")
        full = ("application/json", len(body), kept, digest)
        request_type, request_bytes, request, request_digest = empty if is_output else full
        response_type, response_bytes, response, response_digest = full if is_output else empty
        return Record(
            time.time_ns(),
            _OTHER_CHARACTERS.sub("_", name)[:MAX_NAME_CHARACTERS],
            request_id,
            correlation_id or request_id,
            traceparent.split("-")[1] if traceparent.count("-") >= 3 else "",
            "",
            DRIVER,
            0,
            0,
            request_type,
            response_type,
            request_bytes,
            response_bytes,
            request,
            response,
            request_digest,
            response_digest,
        )

    def _started(self) -> SpoolWriter:
        """Return the writer of this process. The lock is held."""
        if self._writer is None:
            settings = self._settings
            segments = SegmentWriter(settings.folder, f"w{os.getpid()}", settings.spool_bytes)
            self._writer = SpoolWriter(segments)
        return self._writer

    def _after_fork(self) -> None:
        """Forget the writer of the parent process: its thread is not in this process."""
        self._lock = threading.Lock()
        self._writer = None

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close(CLOSE_SECONDS)
