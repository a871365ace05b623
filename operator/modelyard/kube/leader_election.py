"""Leader election by a Lease, with the rules of client-go: one of several processes leads.

https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from modelyard.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from modelyard.kube.interface import KubeClient
from modelyard.kube.types import LEASES, Json

_LOG: Final = logging.getLogger(__name__)
LEASE_SECONDS: Final = 15
"""Time after which another process takes a Lease that is not renewed."""
RENEW_SECONDS: Final = 10.0
"""Time without a renewal after which a leader stops. It is shorter than LEASE_SECONDS, so two never lead."""
RETRY_SECONDS: Final = 2.0


class LeaderElection:
    """One candidate. A Lease expires by its last change seen here, so clocks of machines are not compared."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self.is_leader = False
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._monotonic = monotonic
        self._sleep = sleep
        self._seen: Json = {}  # spec of the Lease at the last look
        self._seen_at = 0.0

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `lead` while this process is the leader, again and again, until cancelled.

        Raises the error of `lead`. The Lease is released at the end.
        """
        while True:
            while not await self._try():
                await self._sleep(RETRY_SECONDS)
            _LOG.info("%s leads", self._identity)
            self.is_leader = True
            work, renewal = asyncio.create_task(lead()), asyncio.create_task(self._renew())
            try:
                await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.is_leader = False
                for task in (work, renewal):
                    task.cancel()
                results = await asyncio.gather(work, renewal, return_exceptions=True)
                await self._release()
            for result in results:
                if isinstance(result, Exception):
                    raise result
            _LOG.warning("%s leads no more", self._identity)

    async def _renew(self) -> None:
        """Return when the Lease could not be renewed in time."""
        renewed = self._monotonic()
        while self._monotonic() - renewed < RENEW_SECONDS:
            await self._sleep(RETRY_SECONDS)
            if await self._try():
                renewed = self._monotonic()
            elif self._seen.get("holderIdentity") != self._identity:
                return

    async def _try(self) -> bool:
        """Take or renew the Lease; return False if another process has it, or without an answer."""
        try:
            async with asyncio.timeout(RENEW_SECONDS / 2):
                return await self._take()
        except (KubeError, TimeoutError) as error:
            _LOG.warning("the Lease %s/%s: %s", self._namespace, self._name, error)
            return False

    async def _take(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
        except NotFound:
            body = LEASES.header() | {"metadata": {"name": self._name}, "spec": self._spec({})}
            try:
                await self._client.create(LEASES, self._namespace, body)
            except AlreadyExists:
                return False
            return True
        spec: Json = lease.get("spec") or {}
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._monotonic()
        holder = spec.get("holderIdentity")
        if holder and holder != self._identity and self._monotonic() - self._seen_at < LEASE_SECONDS:
            return False
        desired = self._spec(spec)
        patch = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]}, "spec": desired}
        try:
            await self._client.patch(LEASES, self._namespace, self._name, patch)
        except Conflict:
            return False
        self._seen, self._seen_at = desired, self._monotonic()
        return True

    def _spec(self, before: Json) -> Json:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_new = before.get("holderIdentity") != self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now if is_new else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + is_new,
        }

    async def _release(self) -> None:
        """Let another process lead at once. Nothing is lost if this fails: the Lease expires."""
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                lease = await self._client.get(LEASES, self._namespace, self._name)
                if (lease.get("spec") or {}).get("holderIdentity") != self._identity:
                    return
                version = lease["metadata"]["resourceVersion"]
                patch = {"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": ""}}
                await self._client.patch(LEASES, self._namespace, self._name, patch)
        except (KubeError, TimeoutError) as error:
            _LOG.info("the Lease %s/%s was not released: %s", self._namespace, self._name, error)
