"""Messages between the front process and a worker process, over one stream socket.

Each is a fixed header, then meta, then a body; the header has the lengths. Both ends are this package in the
same image, so there is no version and no negotiation. It is imported by both: the standard library only.
"""

from struct import Struct
from typing import Final

REQUEST: Final = Struct("<IIQdB")
"""Lengths of meta and body, id, deadline, flags.

Ids grow by one on a channel. The deadline is time.monotonic(), one clock for all processes of a machine: a
request that has not begun by then is not begun at all.
"""

QUERY: Final = 1
"""Flag: the request was a GET; its body here is the query."""

REPLY: Final = Struct("<IIQHBdd")
"""Lengths of meta and body, the request's id, HTTP status, outcome, when run() began (monotonic), seconds."""

RETURNED: Final = 0
"""run() returned. Body: what to send; meta: header lines as JSON pairs, empty for an ordinary result."""
REFUSED: Final = 1
"""The input does not fit the driver; run() was not called. Body: why."""
RAISED: Final = 2
"""run() raised, or its result is no JSON. Body: the traceback."""
EXPIRED: Final = 3
"""The deadline was over when its turn came; run() was not called."""
STARTED: Final = 4
"""init() is done; id 0. Body: JSON of what the front must know of the driver."""
FAILED: Final = 5
"""The driver cannot be served; id 0. Body: JSON with message and exception."""

PROGRESS: Final = Struct("<qd")
"""One place a thread in the shared memory: the id of the request it took last, and when (monotonic).

Written before the deadline is looked at. So when the deadline is over and the id is not there, run() will
never be called for it: the front can answer "overloaded" in truth, without asking the worker.
"""
