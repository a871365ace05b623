"""The CPU time of the side-car for a record of a small request: `python -m tests.bench.collect.cpu`.

A program writes records into the spool at a steady rate, as the front does. The side-car has one sink at a
time, beside a real store and a real broker.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.msgpack import Encoder
from tests.bench.collect.object_store import ObjectStore
from tests.bench.collect.replica import SideCar
from tests.support.kafka import Broker
from tests.support.servers import wait_until

from modelyard.contract.collection_pod import CollectorVariable
from modelyard.scoring.front.collection.request_collector import PIECE_RECORDS
from modelyard.scoring.spool.batch import Entry, encode_piece
from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.segment_writer import SegmentWriter

_FRAME: Final = 2 * PIECE_RECORDS
_ENTRY: Final = Entry(
    123.45, 0.00123, 200, 0, 19, 1, "", "", "", "", "POST", b"application/json", b"application/json",
    b'{"data": [1, 2, 3]}', b"1", b"", b"",
)  # fmt: skip


def main() -> None:
    """Measure both sinks, and print the microseconds for a record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=32_000)
    parser.add_argument("--per-second", type=float, default=4000.0, help="rate of the records")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("store", "broker", "storage", "event_hub"):
            (folder / part).mkdir()
        with ObjectStore(folder / "store") as store, Broker(folder / "broker") as broker:
            topic = {"kafkaBootstrapServers": broker.plain, "kafkaTopic": broker.create_topic()}
            alone = {CollectorVariable.EVENT_HUB: "false"}
            storage = _microseconds(folder / "storage", store.secret, alone, arguments)
            alone = {CollectorVariable.STORAGE: "false"}
            event_hub = _microseconds(folder / "event_hub", topic, alone, arguments)
    print(f"microseconds for a record: storage={storage:.1f} event_hub={event_hub:.1f}", flush=True)


def _microseconds(
    folder: Path, secret: Mapping[str, str], variables: Mapping[str, str], arguments: argparse.Namespace
) -> float:
    spool = folder / "spool"
    spool.mkdir()
    with SideCar(folder, secret, variables) as side_car:
        _write(spool, 100 * _FRAME, arguments.per_second)  # connections, and code that runs first
        _wait_for_delivery(side_car)
        before = side_car.cpu_seconds()
        count = _write(spool, arguments.records, arguments.per_second)
        _wait_for_delivery(side_car)
        return (side_car.cpu_seconds() - before) / count * 1e6


def _wait_for_delivery(side_car: SideCar) -> None:
    wait_until(side_car.spool_is_empty, lambda: "the spool is never empty")


def _write(spool: Path, records: int, per_second: float) -> int:
    """Write at least as many records as one writer. Return their number."""
    writer = SegmentWriter(spool, "front", 1 << 30)
    encode, start, written = Encoder().encode, time.monotonic(), 0
    while written < records:
        frame = b"".join(_piece(encode, first) for first in range(written, written + _FRAME, PIECE_RECORDS))
        if reason := writer.append(frame, _FRAME):
            raise RuntimeError(f"the spool refuses records: {reason}")
        written += _FRAME
        writer.seal_if_due(Counts(written, written, 0, {}))
        time.sleep(max(0.0, start + written / per_second - time.monotonic()))
    writer.close(Counts(written, written, 0, {}))
    return written


def _piece(encode: Any, first: int) -> bytes:
    ids = (f"{number:032x}" for number in range(first, first + PIECE_RECORDS))
    return encode_piece(encode, time.time_ns(), [_ENTRY._replace(request_id=one) for one in ids])


if __name__ == "__main__":
    main()
