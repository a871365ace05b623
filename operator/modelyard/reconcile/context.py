"""What reconciling needs, injected: the cluster, the registry, the clock."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from modelyard.kube.interface import KubeClient
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.event_recorder import EventRecorder
from modelyard.reconcile.workqueue import WorkQueue
from modelyard.settings import OperatorSettings


class DigestLookup(Protocol):
    """The registry that images are in."""

    async def digest(self, reference: str) -> str | None:
        """The digest of an image, None when there is none; RegistryError when the registry cannot say."""
        ...


@dataclass(frozen=True)
class Context:
    """Everything outside the functions of this package."""

    settings: OperatorSettings
    client: KubeClient
    cache: Cache
    queue: WorkQueue
    recorder: EventRecorder
    registry: DigestLookup
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def timestamp(moment: dt.datetime) -> str:
    """A moment as the Kubernetes API writes it."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> dt.datetime:
    """A moment as the Kubernetes API writes it, back."""
    return dt.datetime.fromisoformat(text)
