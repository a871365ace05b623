"""Watches of routing: the HTTPRoutes or Ingresses of Services, and the Gateway that the chart names.

The Gateway API is not a part of Kubernetes: its CRDs may be installed later, or removed. The operator looks
for them at the start and every 30 s, and watches nothing that the API server does not serve.
"""

from __future__ import annotations

import logging
from typing import Final

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import SELECTOR
from modelyard.backoff import Backoff
from modelyard.controller.children import ChildWatches
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.client import METADATA_LIST
from modelyard.kube.errors import KubeError, is_denial
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import GATEWAYS, HTTP_ROUTES, ApiResource, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.routes.gateway import Gateway, Problem
from modelyard.resources.routing import route_resource

_LOG: Final = logging.getLogger(__name__)
_RETRY: Final = Backoff(first_seconds=0.5, most_seconds=30.0, jitter=0.5)


class RouteWatches:
    """Watches the routes of Services and the Gateway, and keeps `Context.routing` up to date."""

    def __init__(self, ctx: Context, namespaces: Namespaces, children: ChildWatches):
        self._ctx = ctx
        self._namespaces = namespaces
        self._children = children
        self._reflectors: list[Reflector] = []
        self._is_starting = True

    async def start(self) -> None:
        """Start the watches of the kinds that the cluster serves, and wait for their first lists."""
        self._reflectors = []  # those of an earlier start have ended
        self._is_starting = True
        failures = 0
        while True:
            try:
                await self._look()
            except KubeError as error:
                failures += 1
                seconds = _RETRY.seconds(failures, error.retry_after)
                _LOG.warning("discovery of routes: %s; next attempt in %.1f s", error, seconds)
                await self._ctx.sleep(seconds)
            else:
                self._is_starting = False
                return

    async def supervise(self) -> None:
        """Notice kinds that were installed or removed, and queue all Services after such a change."""
        before = self._ctx.routing.problem
        try:
            await self._look()
        except KubeError as error:
            _LOG.warning("discovery of routes: %s", error)
        if self._ctx.routing.problem != before:
            self._queue_services()

    async def _look(self) -> None:
        """Start the watches if the cluster serves the kinds. Raises KubeError if that is unknown."""
        resource = route_resource(self._ctx.settings.routing)
        if resource is None:
            return
        if not self._reflectors:
            self._ctx.routing.problem = await self._unserved(resource)
            if self._ctx.routing.problem:
                return
            self._reflectors = self._new_reflectors(resource)
            await self._children.add(self._reflectors)
        denials = (one.denial for one in self._reflectors if one.resource in {resource, GATEWAYS})
        denial = next((error for error in denials if error and error.status == 404), None)
        self._ctx.routing.problem = _missing(resource, denial) if denial else None

    async def _unserved(self, resource: ApiResource) -> Problem | None:
        """Return the problem of a cluster that does not serve routes or Gateways, None if it does."""
        settings = self._ctx.settings
        # A namespace that is set aside has no Role of the operator, which says nothing about the kind.
        places = [(resource, namespace) for namespace in self._namespaces.active[:1]]
        if resource is HTTP_ROUTES:
            places.append((GATEWAYS, settings.routing.gateway.namespace))
        for place, namespace in places:
            try:
                await self._list_one_page(place, namespace)
            except KubeError as error:
                if is_denial(error):
                    return _missing(place, error)
                raise
        return None

    async def _list_one_page(self, resource: ApiResource, namespace: str | None) -> None:
        query = (
            {"fieldSelector": self._gateway_field} if resource is GATEWAYS else {"labelSelector": SELECTOR}
        )
        async for _ in self._ctx.client.pages(resource, namespace, accept=METADATA_LIST, **query):
            return

    def _new_reflectors(self, resource: ApiResource) -> list[Reflector]:
        settings = self._ctx.settings
        reflectors = [
            Reflector(
                self._ctx.client,
                resource,
                self._on_route,
                namespace=namespace,
                selector=SELECTOR,
                sleep=self._ctx.sleep,
            )
            for namespace in settings.namespaces
        ]
        if resource is HTTP_ROUTES:
            gateway = Reflector(
                self._ctx.client,
                GATEWAYS,
                self._on_gateway,
                namespace=settings.routing.gateway.namespace,
                fields=self._gateway_field,
                sleep=self._ctx.sleep,
            )
            reflectors.append(gateway)
        return reflectors

    @property
    def _gateway_field(self) -> str:
        return f"metadata.name={self._ctx.settings.routing.gateway.name}"

    def _on_route(self, resource: ApiResource, body: Json, deleted: bool) -> None:
        self._children.on_child(resource, body, deleted, trusted=self._is_starting)

    def _on_gateway(self, _: ApiResource, body: Json, deleted: bool) -> None:
        """Take an event of the Gateway. Its number of attached routes changes nothing for the Services."""
        gateway = None if deleted else Gateway.read(body)
        if gateway != self._ctx.routing.gateway:
            self._ctx.routing.gateway = gateway
            self._queue_services()

    def _queue_services(self) -> None:
        keys = self._ctx.cache.objects.keys()
        for key in keys:
            if key.kind == SERVICE.name:
                self._ctx.queue.add(key)


def _missing(resource: ApiResource, error: KubeError) -> Problem:
    """Return the problem of a kind that the API server does not serve, or does not let the operator list."""
    if error.status == 404:
        message = f"the cluster does not serve {resource.qualified}: install the CRDs of the Gateway API"
        return Problem("GatewayAPIMissing", message)
    return Problem("RoutesForbidden", f"the operator may not list {resource.qualified}: {error.message}")
