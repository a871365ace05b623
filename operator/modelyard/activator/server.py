"""The activator's process: watch EndpointSlices, serve, and drain after SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from typing import Final

import uvloop
from prometheus_client import start_http_server

from modelyard.activator.activator import Activator
from modelyard.activator.health import serve_probes
from modelyard.activator.metrics import REGISTRY
from modelyard.activator.settings import CONFIG_VARIABLE, ActivatorSettings, load
from modelyard.activator.waker import Waker
from modelyard.api import labels
from modelyard.kube.client import Client
from modelyard.kube.kubeconfig import connect
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import ENDPOINT_SLICES
from modelyard.process_start import INVALID_SETTINGS, start, stop_event
from modelyard.rate_limit import RateLimit

_LOG: Final = logging.getLogger(__name__)
_BURST_SECONDS: Final = 1.0  # of wakes that may come at once


def run() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the configuration is not valid."""
    settings = start(load, CONFIG_VARIABLE)
    if settings is None:
        return INVALID_SETTINGS
    settings = within_files(settings, _raise_file_limit())
    if settings.metrics_port:
        start_http_server(settings.metrics_port, registry=REGISTRY)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    return 0


def _raise_file_limit() -> int:
    """Allow as many open files as the kernel does, and return their number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def within_files(settings: ActivatorSettings, files: int) -> ActivatorSettings:
    """Return settings that leave half of the open files to ports and to forwarded requests, with two each.

    Without a free file no connection is accepted, and so none is refused.
    """
    most = max(1, files // 2)
    if settings.held <= most:
        return settings
    _LOG.warning(
        "at most %d requests are held, in place of %d: this pod may open %d files", most, settings.held, files
    )
    return settings.model_copy(update={"held": most})


async def _serve(settings: ActivatorSettings) -> None:
    stop = stop_event()
    await serve(settings, await connect(), stop)


async def serve(settings: ActivatorSettings, client: Client, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain, and close the client of the API server."""
    waker = Waker(client, RateLimit(settings.wakes_per_second, _BURST_SECONDS))
    activator = Activator(settings, waker.wake)
    reflectors = [
        Reflector(client, ENDPOINT_SLICES, activator.on_slice, namespace=namespace, selector=labels.SELECTOR)
        for namespace in settings.watch_namespaces or (None,)
    ]
    watches = [asyncio.create_task(reflector.run()) for reflector in reflectors]

    def is_ready() -> bool:
        return not stop.is_set() and all(reflector.synced.is_set() for reflector in reflectors)

    async with serve_probes(settings.health_port, is_ready):
        await stop.wait()
        # The scaler takes the addresses of this pod out of all EndpointSlices, later if the scaler has to
        # start first. Until each data plane has followed, requests still come.
        await activator.left(settings.pod_ips, settings.most_leave_seconds)
        await asyncio.sleep(settings.leave_seconds)
        activator.stop()
        await activator.drained()
    await activator.close()
    for watch in watches:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
    await client.close()
