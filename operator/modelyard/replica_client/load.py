"""The load of one replica at a moment, as the replica reports it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Load(msgspec.Struct, frozen=True):
    """The load of one replica, as `GET /load` has it."""

    running: _Count
    waiting: _Count
    places: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """Requests that may run at once."""
    requests: _Count
    """Scoring requests that were accepted since the start of the process."""
    ready: bool

    @property
    def utilization(self) -> float:
        """Return running and waiting requests as a share of the places."""
        return (self.running + self.waiting) / self.places


_DECODER: Final = msgspec.json.Decoder(Load)


def parse_load(body: bytes) -> Load:
    """Parse the response of `GET /load`. Raises ValueError: the pod of a user can answer anything."""
    return _DECODER.decode(body)
