"""The dependencies of the reconcilers, injected: settings, cluster, registry and clock."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from modelyard.kube.interface import KubeClient
from modelyard.reconcile.autoscaler_reports import AutoscalerReports
from modelyard.reconcile.builds.build_line import BuildLine
from modelyard.reconcile.builds.lookups import BackgroundLookups
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.collection_reports import CollectionReports
from modelyard.reconcile.event_recorder import EventRecorder
from modelyard.reconcile.pod_reports import PodReports
from modelyard.reconcile.repairs import RepairPacing
from modelyard.reconcile.routes.state import RoutingState
from modelyard.reconcile.template_rolls import TemplateRolls
from modelyard.reconcile.workqueue import WorkQueue
from modelyard.settings import OperatorSettings


class DigestLookup(Protocol):
    """Lookup of image digests in the registry."""

    async def digest(self, reference: str) -> str | None:
        """Return the digest of an image, None if the registry has no such image.

        Raises RegistryError if the registry cannot be asked.
        """
        ...

    async def architectures(self, reference: str, digest: str) -> tuple[str, ...]:
        """Return the architectures of an image, such as `amd64`, empty if the image names none.

        Raises CodedError if the registry does not answer.
        """
        ...

    async def built(self, reference: str) -> str | None:
        """Return the digest of the image with a tag, None if there is none that a build made.

        With a signing key, only an image counts that the key signed for this tag. Raises RegistryError.
        """
        ...


@dataclass(frozen=True)
class Context:
    """Settings, clients and state that the reconcilers share."""

    settings: OperatorSettings
    client: KubeClient
    cache: Cache
    queue: WorkQueue
    recorder: EventRecorder
    registry: DigestLookup
    lookups: BackgroundLookups
    build_line: BuildLine
    template_rolls: TemplateRolls = field(default_factory=TemplateRolls)
    routing: RoutingState = field(default_factory=RoutingState)
    repairs: RepairPacing = field(default_factory=RepairPacing)
    autoscaler_reports: AutoscalerReports = field(default_factory=AutoscalerReports)
    pod_reports: PodReports = field(default_factory=PodReports)
    collection_reports: CollectionReports = field(default_factory=CollectionReports)
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
