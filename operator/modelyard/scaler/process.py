"""The scaler's process: wires the parts, serves, and drains after SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Final

import uvloop
from prometheus_client import start_http_server

from modelyard.api import labels
from modelyard.api.kinds import SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.service import ServiceSpec
from modelyard.https.listener import Listener
from modelyard.kube.client import Client
from modelyard.kube.kubeconfig import connect
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import PODS, ApiResource, Json
from modelyard.process_start import INVALID_SETTINGS, start, stop_event
from modelyard.scaler import metrics
from modelyard.scaler.api_server import ApiConnection, ApiServer
from modelyard.scaler.authentication import RequestHeaders
from modelyard.scaler.authorization import Authorization
from modelyard.scaler.certificate import CertificateSecret
from modelyard.scaler.collector import Collector
from modelyard.scaler.load_client import LoadClient
from modelyard.scaler.replicas import Replica, Replicas
from modelyard.scaler.settings import CONFIG_VARIABLE, ScalerSettings, load
from modelyard.scaler.tls import TlsSettings
from modelyard.scaler.zero.process import Zero
from modelyard.scoring.front.garbage import spare_garbage_collection
from modelyard.scoring.front.http_server import TICK_SECONDS

_DRAIN_SECONDS: Final = 5  # for requests in flight after SIGTERM: each takes milliseconds
_BACKLOG: Final = 512
_LISTS: Final = 2  # at the same time

_LOG: Final = logging.getLogger(__name__)


def run() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the configuration is not valid."""
    settings = start(load, CONFIG_VARIABLE)
    if settings is None:
        return INVALID_SETTINGS
    if settings.metrics_port:
        start_http_server(settings.metrics_port, registry=metrics.REGISTRY)
    spare_garbage_collection()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


async def _run(settings: ScalerSettings) -> int:
    stop = stop_event()
    client = await connect()
    try:
        async with Scaler(settings, client).running() as failed:
            stopped = asyncio.create_task(stop.wait())
            ends: set[asyncio.Future[Any]] = {stopped, failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            return 1 if failed.done() else 0
    finally:
        await client.close()


class Scaler:
    """All parts of the scaler."""

    def __init__(self, settings: ScalerSettings, client: Client, loads: LoadClient | None = None) -> None:
        self._settings = settings
        self._client = client
        self._loads = loads or LoadClient()
        self.collector = Collector(self._loads)
        self.replicas = Replicas(self._is_asked, self.collector.on_replica)
        self._lists = asyncio.Semaphore(_LISTS)
        self._zero = Zero(settings, client, self._loads, self._lists) if settings.scales_to_zero else None
        self._services: list[Reflector] = []  # the watches of Services
        self._reflectors = list(self._make_reflectors())
        self._server = ApiServer(Authorization(client), self._known_replicas, self._reason_not_ready)
        service, namespace = settings.service, settings.namespace
        names = [f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.{settings.cluster_domain}"]
        secret = CertificateSecret(
            client, namespace, settings.tls_secret, names, creates=settings.creates_certificate
        )
        self._tls = TlsSettings(client, secret, self._use_tls, is_aggregated=settings.serves_metrics)
        self._listener: Listener | None = None
        self._has_tls = asyncio.Event()
        self.port = 0
        """TCP port of the API, once it runs."""
        metrics.observe_collector(lambda: self.collector.replicas, self.collector.oldest_seconds)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Future[None]]:
        """Run all parts, and drain at the end. Yield a future that ends when a part has failed."""
        settings = self._settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG) as sock:
            self.port = sock.getsockname()[1]
            tasks = [asyncio.create_task(part) for part in self._parts(sock)]
            failed = asyncio.get_running_loop().create_future()
            for task in tasks:
                task.add_done_callback(lambda ended: _report(ended, failed))
            try:
                yield failed
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        await self._drain()
        await self.collector.close()
        await self._loads.close()

    def _parts(self, sock: socket.socket) -> Iterator[Coroutine[Any, Any, None]]:
        for reflector in self._reflectors:
            yield reflector.run()
        if self._zero is not None:
            yield self._zero.run(self._services)
        yield self._tls.run()
        yield self._listen(sock)
        yield self._tick()

    def _make_reflectors(self) -> Iterator[Reflector]:
        pods = f"{labels.SELECTOR},{labels.SERVICE}"
        handlers = (
            (CUSTOM_RESOURCES[SERVICE.name], self._on_service, ""),
            (PODS, self.replicas.on_pod, pods),
        )
        for namespace in self._settings.namespaces:
            for resource, handler, selector in handlers:
                reflector = Reflector(
                    self._client, resource, handler, namespace=namespace, selector=selector, lists=self._lists
                )
                if resource.kind == SERVICE.name:
                    self._services.append(reflector)
                yield reflector
        if self._zero is not None:
            yield from self._zero.reflectors

    def _on_service(self, resource: ApiResource, body: Json, deleted: bool) -> None:
        spec = self.replicas.on_service(resource, body, deleted)
        if self._zero is not None:
            self._zero.on_service(body, spec)

    def _is_asked(self, spec: ServiceSpec) -> bool:
        """Return whether the replicas of a Service are asked: its autoscaler uses their load."""
        return self._settings.serves_metrics and spec.scales_on_requests

    def _known_replicas(self, namespace: str) -> Iterator[Replica]:
        for replica in self.replicas.of_namespace(namespace):
            if self.collector.has_figures(replica):
                yield replica

    def _reason_not_ready(self) -> str:
        for reflector in self._reflectors:
            if not reflector.settled.is_set():
                return f"the first list of {reflector.resource.qualified} is not complete"
        return self._tls.problem

    def _use_tls(self, context: ssl.SSLContext, headers: RequestHeaders) -> None:
        self._server.request_headers = headers
        self._context = context
        self._has_tls.set()
        if self._listener is not None:
            self._listener.replace_context(context)

    async def _listen(self, sock: socket.socket) -> None:
        """Accept connections once there is a certificate."""
        await self._has_tls.wait()
        self._listener = Listener(sock, self._context, lambda: ApiConnection(self._server))
        await self._listener.run()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._server.tick()

    async def _drain(self) -> None:
        """Answer the accepted requests, then close all connections."""
        self._server.draining = True
        await self._server.finish(_DRAIN_SECONDS)
        for connection in list(self._server.connections):
            connection.close_if_idle()


def _report(task: asyncio.Task[None], failed: asyncio.Future[None]) -> None:
    """End the process if a part has ended, which only a bug can cause. The kubelet starts it again."""
    if task.cancelled():
        return
    if error := task.exception():
        _LOG.error("a part of the scaler has failed", exc_info=error)
    if not failed.done():
        failed.set_result(None)
