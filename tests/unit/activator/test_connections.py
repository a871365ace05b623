"""Requests through a whole activator with real sockets: held, forwarded, refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource

import pytest
from tests.unit.activator.rig import (
    NAME,
    NAMESPACE,
    SECONDS,
    FakeReplica,
    Rig,
    activator_slice,
    free_port,
    replica_slice,
    rig,
    until,
)

from modelyard.activator.metrics import REGISTRY


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def held() -> float:
    return sample("modelyard_activator_held")


async def test_first_request_wakes_the_service_and_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = FakeReplica(is_ready=False)
    async with rig(monkeypatch) as one:
        asking = asyncio.create_task(one.ask())
        await one.woken.wait()
        assert one.wakes == [(NAMESPACE, NAME)]
        one.see(replica_slice(await replica.start()))
        assert not asking.done()
        replica.is_ready = True  # the kubelet has not asked yet: the EndpointSlice says ready: false
        assert (await asking).endswith(b"\r\n\r\nok")
        assert replica.heads == [b"GET /score HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"]
        assert sample("modelyard_activator_wake_seconds_count") >= 1
    await replica.stop()


async def test_ready_replica_gets_the_request_without_a_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = FakeReplica()
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start(), ready=True))
        assert (await one.ask()).endswith(b"ok")
        assert one.wakes == []
    await replica.stop()


async def test_terminating_replica_gets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = FakeReplica(), FakeReplica()
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await old.start(), ready=True, terminating=True))
        asking = asyncio.create_task(one.ask())
        await one.woken.wait()
        one.see(replica_slice(await new.start()))
        assert (await asking).endswith(b"ok")
        assert (old.heads, len(new.heads)) == ([], 1)
    await old.stop()
    await new.stop()


async def test_requests_are_answered_in_the_order_of_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = FakeReplica(places=1)
    async with rig(monkeypatch) as one:
        before = held()
        asking = []
        for number in range(20):
            asking.append(asyncio.create_task(one.ask(b"GET /%d HTTP/1.1\r\n\r\n" % number)))
            await until(lambda number=number: held() == before + number + 1)
        one.see(replica_slice(await replica.start()))
        await asyncio.gather(*asking)
        assert [int(head.split()[1][1:]) for head in replica.heads] == list(range(20))
    await replica.stop()


async def test_replica_gets_no_more_requests_at_once_than_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue of a replica refuses after half a second: a burst on the first pod loses requests."""
    go = asyncio.Event()

    async def slow(reader, writer, head) -> None:
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    replica = FakeReplica(answer=slow, places=3)
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start()))
        asking = [asyncio.create_task(one.ask()) for _ in range(12)]
        await until(lambda: replica.at_once == 3)
        go.set()
        answers = await asyncio.gather(*asking)
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        assert (replica.most_at_once, len(replica.heads)) == (3, 12)
    await replica.stop()


async def test_runtime_without_load_has_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = FakeReplica(has_load=False)
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start()))
        answers = await asyncio.gather(*(one.ask() for _ in range(5)))
        assert all(answer.endswith(b"ok") for answer in answers)
        assert replica.most_at_once == 1
    await replica.stop()


async def test_replica_that_accepts_no_connection_loses_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, good = FakeReplica(), FakeReplica()
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await gone.start()))
        assert (await one.ask()).endswith(b"ok")
        keep = asyncio.create_task(one.ask(b"GET /partial HTTP/1.1\r\n"))  # keeps the state of the Service
        assert (await one.ask()).endswith(b"ok")
        await gone.stop()
        asking = asyncio.create_task(one.ask(b"GET /again HTTP/1.1\r\n\r\n"))
        await until(lambda: held() > 0)
        one.see(replica_slice(await good.start()))
        assert (await asking).endswith(b"ok")
        assert [head.split()[1] for head in good.heads] == [b"/again"]
        keep.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keep
    await good.stop()


async def test_request_that_a_replica_may_have_scored_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def die(reader, writer, head) -> None:
        writer.transport.abort()

    replica = FakeReplica(answer=die)
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start()))
        answer = await one.ask()
        assert answer.startswith(b"HTTP/1.1 502")
        assert b"closed the connection before it sent a response" in answer
        assert len(replica.heads) == 1
    await replica.stop()


async def test_deadline_refuses_with_retry_after_and_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch, cause="the Deployment cannot be scaled", wake_seconds=0.2) as one:
        before = sample("modelyard_activator_refused_total", reason="deadline")
        answer = await one.ask()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 10" in head
        assert b"\r\nConnection: close" in head
        assert "within 0.2 s: the Deployment cannot be scaled" in json.loads(body)["message"]
        assert sample("modelyard_activator_refused_total", reason="deadline") == before + 1
        assert held() == 0


async def test_refusal_of_a_head_request_has_no_body(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch, wakes=False) as one:
        answer = await one.ask(b"HEAD / HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.endswith(b"\r\n\r\n")


async def test_num_replicas_zero_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch, wakes=False) as one:
        answer = await one.ask()
        assert b"numReplicas of the Service is 0" in answer
        assert b"\r\nRetry-After: 60" in answer
        assert one.wakes == []


async def test_changed_activation_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch, wakes=False) as one:
        one.see(activator_slice(one.port))
        asking = asyncio.create_task(one.ask())
        await one.woken.wait()
        asking.cancel()


async def test_full_queue_of_one_service_refuses_only_its_own_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with rig(monkeypatch, held_per_service=2, held=100) as one:
        other = free_port()
        one.see(activator_slice(other, name="other"))
        waiting = [asyncio.create_task(one.ask()) for _ in range(2)]
        await until(lambda: held() == 2)
        answer = await one.ask()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too many requests wait" in answer
        _, writer = await asyncio.open_connection("127.0.0.1", other)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: held() == 3)
        writer.close()
        for task in waiting:
            task.cancel()


async def test_limit_of_all_services_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch, held_per_service=10, held=1) as one:
        waiting = asyncio.create_task(one.ask())
        await until(lambda: held() == 1)
        assert b"too many requests wait for the first replicas of Services" in await one.ask()
        waiting.cancel()


async def test_client_that_leaves_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if bytes of its body are unread, behind which the end of the connection is not visible."""
    async with rig(monkeypatch) as one:
        before = sample("modelyard_activator_abandoned_total")
        for body in (b"", b"x" * 5000):
            _, writer = await one.connect()
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
            await until(lambda: held() == 1)
            writer.write(body)
            await writer.drain()
            writer.close()
            await until(lambda: held() == 0)
        await until(lambda: sample("modelyard_activator_abandoned_total") == before + 2)


async def test_client_that_left_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = FakeReplica()
    async with rig(monkeypatch) as one:
        _, writer = await one.connect()
        writer.write(b"GET /left HTTP/1.1\r\n\r\n")
        await until(lambda: held() == 1)
        writer.close()
        await writer.wait_closed()
        one.see(replica_slice(await replica.start()))
        assert (await one.ask(b"GET /stays HTTP/1.1\r\n\r\n")).endswith(b"ok")
        assert [head.split()[1] for head in replica.heads] == [b"/stays"]
    await replica.stop()


async def test_slow_head_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch, head_seconds=0.1) as one:
        reader, writer = await one.connect()
        writer.write(b"GET / HT")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        assert one.wakes == []


async def test_probe_of_the_port_wakes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scaler connects and closes, to see that the port is open."""
    async with rig(monkeypatch) as one:
        _, writer = await one.connect()
        writer.close()
        assert b"400" in await one.ask(b"hello\r\n\r\n")
        assert one.wakes == []


async def test_hundred_megabytes_pass_with_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 100 * 2**20

    async def count(reader, writer, head) -> None:
        left = size
        while left:
            left -= len(await reader.read(min(left, 2**18)))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(size // 2**18):
            writer.write(b"y" * 2**18)
            await writer.drain()

    replica = FakeReplica(answer=count)
    async with rig(monkeypatch) as one:
        reader, writer = await one.connect()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)

        async def upload() -> None:
            for _ in range(size // 2**18):
                writer.write(b"x" * 2**18)
                await writer.drain()

        sending = asyncio.create_task(upload())
        await until(lambda: held() == 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        one.see(replica_slice(await replica.start()))
        received = 0
        while data := await reader.read(2**18):
            received += len(data)
        await sending
        writer.close()
        assert received > size
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # kB
    await replica.stop()


async def test_held_body_waits_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as one:
        _, writer = await one.connect()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        await until(lambda: held() == 1)
        writer.write(b"x" * 20 * 2**20)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.2)
        writer.transport.abort()


async def test_expect_continue_is_answered_by_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    async def continue_(reader, writer, head) -> None:
        assert b"\r\nExpect: 100-continue\r\n" in head
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(4)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    replica = FakeReplica(answer=continue_)
    async with rig(monkeypatch) as one:
        reader, writer = await one.connect()
        writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        await until(lambda: held() == 1)
        one.see(replica_slice(await replica.start()))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await reader.read()).endswith(b"\r\n\r\nbody")
        writer.close()
    await replica.stop()


async def test_chunked_body_and_streamed_answer_pass_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echo(reader, writer, head) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        while (line := await reader.readline()) != b"0\r\n":
            size = int(line, 16)
            data = await reader.readexactly(size + 2)
            writer.write(line + data)
        writer.write(b"0\r\n\r\n")

    replica = FakeReplica(answer=echo)
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start()))
        reader, writer = await one.connect()
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(3):  # each part comes back before the next one is sent
            writer.write(b"3\r\nabc\r\n")
            assert await reader.readexactly(8) == b"3\r\nabc\r\n"
        writer.write(b"0\r\n\r\n")
        assert await reader.read() == b"0\r\n\r\n"
        writer.close()
    await replica.stop()


async def test_response_before_the_end_of_the_body_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica refuses a request by its key, without the body that the client still sends."""

    async def refuse(reader, writer, head) -> None:
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    replica = FakeReplica(answer=refuse)
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start()))
        reader, writer = await one.connect()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 2**20)
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.close()
    await replica.stop()


async def test_client_that_leaves_a_request_in_flight_ends_it_at_the_replica(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = asyncio.Event()

    async def wait_for_end(reader, writer, head) -> None:
        assert await reader.read() == b""
        left.set()

    replica = FakeReplica(answer=wait_for_end)
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start()))
        _, writer = await one.connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: replica.at_once == 1)
        writer.close()
        async with asyncio.timeout(10):
            await left.wait()
    await replica.stop()


async def test_pipelined_requests_reach_only_their_own_replica_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second request is behind `Connection: close`: no other client gets it."""
    replica = FakeReplica()
    async with rig(monkeypatch) as one:
        one.see(replica_slice(await replica.start()))
        answer = await one.ask(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200") == 1
        assert [head.split()[1] for head in replica.heads] == [b"/1"]
    await replica.stop()


async def test_stop_closes_the_ports_and_keeps_held_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = FakeReplica()
    async with rig(monkeypatch) as one:
        asking = asyncio.create_task(one.ask())
        await until(lambda: held() == 1)
        one.activator.stop()
        with pytest.raises(ConnectionRefusedError):
            await one.connect()
        one.see(replica_slice(await replica.start()))
        assert (await asking).endswith(b"ok")
        async with asyncio.timeout(10):
            await one.activator.drained()
    await replica.stop()


async def is_refused(one: Rig) -> bool:
    try:
        _, writer = await one.connect()
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_deleted_slice_closes_the_port_later_and_keeps_held_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The scaler takes the slice away as soon as a replica is ready. Data planes follow a second later."""
    replica = FakeReplica()
    async with rig(monkeypatch, leave_seconds=0.5) as one:
        asking = asyncio.create_task(one.ask())
        await until(lambda: held() == 1)
        one.see(activator_slice(one.port), deleted=True)
        late = asyncio.create_task(one.ask())
        await until(lambda: held() == 2)
        one.see(replica_slice(await replica.start()))
        assert (await asking).endswith(b"ok")
        assert (await late).endswith(b"ok")
        async with asyncio.timeout(10):
            while not await is_refused(one):
                await asyncio.sleep(0.05)
    await replica.stop()


async def test_slice_that_comes_back_keeps_the_port_open(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = FakeReplica()
    async with rig(monkeypatch, leave_seconds=0.1) as one:
        one.see(activator_slice(one.port), deleted=True)
        one.see(activator_slice(one.port))
        await asyncio.sleep(0.3)
        one.see(replica_slice(await replica.start(), ready=True))
        assert (await one.ask()).endswith(b"ok")
    await replica.stop()


async def test_activator_that_stops_waits_until_no_slice_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scaler may have to start first. Until then, data planes send requests here."""
    async with rig(monkeypatch) as one:
        await one.activator.left(["10.0.0.2"], SECONDS)
        leaving = asyncio.create_task(one.activator.left(["10.0.0.1"], SECONDS))
        await asyncio.sleep(0.15)
        assert not leaving.done()
        one.see(activator_slice(one.port) | {"endpoints": []})
        async with asyncio.timeout(SECONDS):
            await leaving
        one.see(activator_slice(one.port))
        await one.activator.left(["10.0.0.1"], 0.1)  # returns although a slice names it


async def test_second_slice_takes_no_port_from_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as one:
        one.see(activator_slice(one.port, name="thief", namespace="other", created="2026-01-01T00:00:00Z"))
        asking = asyncio.create_task(one.ask())
        await one.woken.wait()
        assert one.wakes == [(NAMESPACE, NAME)]
        asking.cancel()
