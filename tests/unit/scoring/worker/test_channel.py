"""The worker's end of the channel: requests of all sizes, as the socket delivers them."""

import socket
import threading
import time
from collections.abc import Iterator
from mmap import mmap

import pytest

from modelyard.scoring.frames import REQUEST, SLOT
from modelyard.scoring.worker.channel import LARGE_BYTES, RECEIVE_BYTES, WorkerChannel

SIZES = (
    0,
    10,
    LARGE_BYTES - 1,
    LARGE_BYTES,
    100_000,
    100_000,
    3,
    RECEIVE_BYTES - REQUEST.size,
    RECEIVE_BYTES,
    300_000,
    5,
    100_000,
)


def _request(number: int, size: int) -> bytes:
    meta = b"m" * (number % 3)
    return REQUEST.pack(len(meta), size, number, 1.0, 0) + meta + bytes([number]) * size


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, WorkerChannel]]:
    front, worker = socket.socketpair()
    with front, worker, mmap(-1, SLOT.size) as progress:
        yield front, WorkerChannel(worker, progress)


@pytest.mark.parametrize("spins", [False, True])
@pytest.mark.parametrize("piece_bytes", [1_000_000, 7_001, 40_000])
def test_requests_of_all_sizes_arrive_whole(
    ends: tuple[socket.socket, WorkerChannel], piece_bytes: int, spins: bool
) -> None:
    front, channel = ends
    channel.spins = spins
    sent = b"".join(_request(number, size) for number, size in enumerate(SIZES, 1))

    def send() -> None:
        for start in range(0, len(sent), piece_bytes):
            front.sendall(sent[start : start + piece_bytes])
        front.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    for number, size in enumerate(SIZES, 1):
        request = channel.receive()
        assert request is not None
        assert (request.number, request.meta) == (number, b"m" * (number % 3))
        assert bytes(request.body) == bytes([number]) * size
    assert channel.receive() is None
    sender.join()


def test_available_requests_are_those_that_are_complete(ends: tuple[socket.socket, WorkerChannel]) -> None:
    front, channel = ends
    sent = b"".join(_request(number, size) for number, size in ((1, 50_000), (2, 50_000), (3, 8)))
    numbers = []
    for start in range(0, len(sent), 30_000):
        front.sendall(sent[start : start + 30_000])
        until = time.monotonic() + 60
        while (received := channel.receive_available()) is not None and time.monotonic() < until:
            numbers += [request.number for request in received]
            if not received and not _is_readable(channel):
                break
    assert numbers == [1, 2, 3]


def _is_readable(channel: WorkerChannel) -> bool:
    with socket.socket(fileno=socket.dup(channel.fileno())) as copy:
        try:
            return bool(copy.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False


def test_body_after_a_large_one_is_received_into_its_own_buffer(
    ends: tuple[socket.socket, WorkerChannel],
) -> None:
    front, channel = ends
    front.sendall(_request(1, 40_000) + _request(2, 40_000))
    bodies = [request.body for request in (channel.receive(), channel.receive()) if request is not None]
    assert isinstance(bodies[1], memoryview)
    assert bytes(bodies[1]) == b"\2" * 40_000


class _Socket:
    """A socket whose requests arrive after a time, on the clock of the test."""

    def __init__(self, gaps: list[float]) -> None:
        self.now = 0.0
        self.reads: list[str] = []
        self._gaps = gaps
        self._arrives_at = gaps.pop(0)

    def recv(self, _size: int, flags: int) -> bytes:
        self.reads.append("spin" if flags & socket.MSG_DONTWAIT else "sleep")
        self.now += 0.00003
        if flags & socket.MSG_DONTWAIT and self.now < self._arrives_at:
            raise BlockingIOError
        self.now = max(self.now, self._arrives_at)
        self._arrives_at = self.now + (self._gaps.pop(0) if self._gaps else 0)
        return _request(1, 3)


@pytest.mark.parametrize(
    ("spins", "gaps", "reads"),
    [
        (False, [0.0001] * 3, ["sleep"] * 3),
        (True, [0.5] * 3, ["sleep"] * 3),
        (True, [0.0005, 0.00005, 0.00005], ["sleep", "spin", "spin", "spin", "spin"]),
        (True, [0.0005, 0.5, 0.5], ["sleep", *["spin"] * 4, "sleep", "sleep"]),
    ],
    ids=["several threads", "few requests", "many requests", "the last of many requests"],
)
def test_only_a_busy_worker_of_one_thread_spins(
    monkeypatch: pytest.MonkeyPatch, spins: bool, gaps: list[float], reads: list[str]
) -> None:
    fake = _Socket(list(gaps))
    monkeypatch.setattr("modelyard.scoring.worker.channel.time.monotonic", lambda: fake.now)
    channel = WorkerChannel(fake, mmap(-1, SLOT.size))  # type: ignore[arg-type]
    channel.spins = spins
    for _ in gaps:
        assert channel.receive() is not None
    assert fake.reads == reads
