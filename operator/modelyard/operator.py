"""The operator process: wires the parts, then runs until it is told to stop."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import logging
import os
from typing import Final

import kopf
import uvloop
from prometheus_client import REGISTRY, start_http_server

from modelyard.controller.collector_client import CollectorClient
from modelyard.controller.controller import Controller
from modelyard.controller.probes import serve_probes
from modelyard.controller.state_metrics import StateMetrics
from modelyard.digest_lookup import RegistryDigestLookup
from modelyard.handlers import events, lifecycle  # noqa: F401 - their decorators register the handlers
from modelyard.kube.kubeconfig import connect
from modelyard.process_start import INVALID_SETTINGS, start, stop_event
from modelyard.reconcile.builds.build_line import BuildLine
from modelyard.reconcile.builds.lookups import BackgroundLookups
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.context import Context
from modelyard.reconcile.event_recorder import EventRecorder
from modelyard.reconcile.workqueue import WorkQueue
from modelyard.settings import CONFIG_VARIABLE, OperatorSettings, load

_LOG: Final = logging.getLogger(__name__)
# New objects until the garbage collector looks at the young ones; by default 700, a twelfth of the CPU time.
_YOUNG: Final = 20_000


def run() -> int:
    """Run until SIGTERM or SIGINT; 0, or 2 when the configuration is not usable."""
    settings = start(load, CONFIG_VARIABLE)
    if settings is None:
        return INVALID_SETTINGS
    start_http_server(settings.metrics_port)
    gc.freeze()  # imported modules are never garbage
    gc.set_threshold(_YOUNG)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_operate(settings))
    return 0


async def _operate(settings: OperatorSettings) -> None:
    stop = stop_event()
    client = await connect()
    registry = RegistryDigestLookup(settings)
    queue, cache = WorkQueue(), Cache()
    ctx = Context(
        settings=settings,
        client=client,
        cache=cache,
        queue=queue,
        recorder=EventRecorder(client, os.environ.get("POD_NAME", "modelyard")),
        registry=registry,
        build_line=BuildLine(cache.build_jobs, settings.build, queue.add),
        lookups=BackgroundLookups(queue.add, lambda: dt.datetime.now(dt.UTC)),
    )
    collectors = CollectorClient()
    controller = Controller(ctx, collectors.state)
    REGISTRY.register(StateMetrics(ctx, controller))
    try:
        async with serve_probes(controller, settings.liveness_port):
            await kopf.operator(
                memo=kopf.Memo(controller=controller),
                standalone=True,  # one replica: no peers to agree with
                clusterwide=not settings.watch_namespaces,
                namespaces=settings.watch_namespaces,
                stop_flag=stop,
            )
    finally:
        await ctx.lookups.close()
        await client.close()
        await collectors.close()
        registry.close()
