"""Leader election: one leads, another takes over, and a leader that cannot renew stops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelyard.kube.errors import AlreadyExists, Conflict, NotFound, Unavailable
from modelyard.kube.leader_election import LEASE_SECONDS, LeaderElection


class Leases:
    """One Lease in memory, and a clock that sleeping moves."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.is_away = False
        self.time = 0.0

    async def get(self, resource, namespace, name, subresource=None):
        if self.is_away:
            raise Unavailable("away")
        if self.lease is None:
            raise NotFound("no", status=404)
        return {"metadata": {"resourceVersion": str(self.version)}, "spec": dict(self.lease)}

    async def create(self, resource, namespace, body):
        if self.lease is not None:
            raise AlreadyExists("yes", status=409)
        self._set(body["spec"])
        return {}

    async def patch(self, resource, namespace, name, patch, subresource=None):
        if patch["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict("changed", status=409)
        self._set((self.lease or {}) | patch["spec"])
        return {}

    def _set(self, spec: dict[str, Any]) -> None:
        self.lease, self.version = spec, self.version + 1

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)

    def candidate(self, identity: str) -> LeaderElection:
        return LeaderElection(self, "system", "scaler", identity, monotonic=self.monotonic, sleep=self.sleep)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def spin(times: int = 200) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_one_of_two_leads_and_a_released_lease_is_taken_at_once() -> None:
    leases = Leases()
    first, second = leases.candidate("a"), leases.candidate("b")
    one = asyncio.create_task(first.run(forever))
    await spin()
    two = asyncio.create_task(second.run(forever))
    await spin()
    assert (first.is_leader, second.is_leader) == (True, False)
    await stop(one)
    await spin(8)  # fewer sleeps than the Lease lasts
    assert (first.is_leader, second.is_leader) == (False, True)
    assert leases.lease and leases.lease["leaseTransitions"] == 2
    await stop(two)


async def test_lease_of_a_dead_leader_expires_by_the_clock_of_the_candidate() -> None:
    leases = Leases()
    leases._set({"holderIdentity": "dead", "renewTime": "2999-01-01T00:00:00Z", "leaseTransitions": 4})
    candidate = leases.candidate("b")
    task = asyncio.create_task(candidate.run(forever))
    while not candidate.is_leader:
        await asyncio.sleep(0)
    assert LEASE_SECONDS <= leases.time <= LEASE_SECONDS + 4
    await stop(task)


async def test_leader_that_cannot_renew_stops_before_another_can_lead() -> None:
    leases = Leases()
    candidate = leases.candidate("a")
    ended: list[float] = []

    async def lead() -> None:
        try:
            await forever()
        finally:
            ended.append(leases.time)

    task = asyncio.create_task(candidate.run(lead))
    await spin(5)
    assert candidate.is_leader
    leases.is_away, away = True, leases.time
    while not ended:
        await asyncio.sleep(0)
    assert ended[0] - away < LEASE_SECONDS
    leases.is_away = False
    while not candidate.is_leader:
        await asyncio.sleep(0)
    await stop(task)


async def test_error_of_the_work_is_raised() -> None:
    async def lead() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await Leases().candidate("a").run(lead)
