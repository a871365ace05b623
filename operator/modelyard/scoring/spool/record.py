"""One record of data collection, and its bytes."""

from struct import Struct
from typing import Final, NamedTuple

SCORING: Final = "scoring"
"""The name of records that the front makes; other names are those of the driver's collectors."""

SCORE: Final = "score"
"""Kind: a request to /score."""
INFER: Final = "infer"
"""Kind: a request of the Open Inference Protocol."""
DRIVER: Final = "driver"
"""Kind: data that a driver passes to a collector."""
_KINDS: Final = (SCORE, INFER, DRIVER)

_NUMBERS: Final = Struct("<BHQQQQIIIBB")
"""Kind, status, time_ns, duration_us, request_bytes, response_bytes, then five lengths in bytes: texts,
request, response, and the two digests. The fields follow in this order."""

_SEPARATOR: Final = "\0"
"""Between the texts, which are encoded at once: seven encodings take four times as long."""
_TEXTS: Final = 7

_DIGEST_BYTES: Final = 32


class RecordError(ValueError):
    """The bytes are no record."""


class Record(NamedTuple):
    """A scored request with its response, or the data that a driver collects."""

    time_ns: int
    """Nanoseconds since the epoch: when the request arrived, or when the driver called collect()."""
    name: str
    """SCORING, or the name of the driver's collector."""
    request_id: str
    correlation_id: str
    """The same for records that belong together: the request id, unless the driver sets another one."""
    trace_id: str
    """Trace id of W3C Trace Context, 32 hexadecimal digits; empty without one."""
    method: str
    kind: str
    """SCORE, INFER or DRIVER."""
    status: int
    """HTTP status of the response; 0 for data of a driver."""
    duration_us: int
    """Microseconds from the complete request to the response."""
    request_type: str
    """Media type of the request's body; empty without one."""
    response_type: str
    request_bytes: int
    """Size of the unpacked body, of which `request` may have a part."""
    response_bytes: int
    request: bytes
    """The body, cut at the size limit, empty if it is binary. Of a GET the query string."""
    response: bytes
    request_sha256: bytes
    """Digest (32 bytes) of the whole body if `request` is not the whole body, otherwise empty."""
    response_sha256: bytes


def encode_record(record: Record) -> bytes:
    """Return the bytes of a record. A half surrogate pair becomes a question mark, NUL a blank."""
    texts = (
        record.name,
        record.request_id,
        record.correlation_id,
        record.trace_id,
        record.method,
        record.request_type,
        record.response_type,
    )
    text = _SEPARATOR.join(texts)
    if text.count(_SEPARATOR) >= _TEXTS:
        text = _SEPARATOR.join([part.replace(_SEPARATOR, " ") for part in texts])
    encoded = text.encode("utf-8", "replace")
    request, response = record.request, record.response
    numbers = _NUMBERS.pack(
        _KINDS.index(record.kind),
        record.status,
        record.time_ns,
        record.duration_us,
        record.request_bytes,
        record.response_bytes,
        len(encoded),
        len(request),
        len(response),
        len(record.request_sha256),
        len(record.response_sha256),
    )
    return b"".join((numbers, encoded, request, response, record.request_sha256, record.response_sha256))


def decode_record(payload: bytes) -> Record:
    """Return the record of these bytes. Raises RecordError if they are no record.

    A driver can write any bytes. The memory for the record is about that of the bytes.
    """
    if len(payload) < _NUMBERS.size:
        raise RecordError(f"{len(payload)} bytes are too few for a record")
    kind, status, time_ns, duration_us, request_bytes, response_bytes, *lengths = _NUMBERS.unpack_from(
        payload
    )
    if kind >= len(_KINDS):
        raise RecordError(f"{kind} is no kind of record")
    if _NUMBERS.size + sum(lengths) != len(payload):
        raise RecordError("the lengths of the fields are not that of the record")
    fields, start = [], _NUMBERS.size
    for length in lengths:
        fields.append(payload[start : start + length])
        start += length
    text, request, response, request_sha256, response_sha256 = fields
    texts = text.decode("utf-8", "replace").split(_SEPARATOR, _TEXTS)
    if len(texts) != _TEXTS:
        raise RecordError(f"the record has {len(texts)} texts, not {_TEXTS}")
    if {len(request_sha256), len(response_sha256)} - {0, _DIGEST_BYTES}:
        raise RecordError("a digest of the record has not 32 bytes")
    name, request_id, correlation_id, trace_id, method, request_type, response_type = texts
    return Record(
        time_ns,
        name,
        request_id,
        correlation_id,
        trace_id,
        method,
        _KINDS[kind],
        status,
        duration_us,
        request_type,
        response_type,
        request_bytes,
        response_bytes,
        request,
        response,
        request_sha256,
        response_sha256,
    )
