"""One record of data collection."""

from typing import Final, NamedTuple

MAX_INTEGER: Final = 2**63 - 1
"""The largest whole number of a record, and of a column."""

SCORING: Final = "scoring"
"""The name of records that the front makes; other names are those of the driver's collectors."""

SCORE: Final = "score"
"""Kind: a request to /score."""
INFER: Final = "infer"
"""Kind: a request of the Open Inference Protocol."""
DRIVER: Final = "driver"
"""Kind: data that a driver passes to a collector."""


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
