"""Start, stop and liveness of the operator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf

from modelyard.controller import Controller
from modelyard.kube.types import Json


class _NoDiffs(kopf.DiffBaseStorage):
    """Nothing is kept of an object to find what changed; by default each event takes a deep copy of it."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def register(registry: kopf.OperatorRegistry, controller: Controller) -> None:
    """Start the controller before kopf watches, stop it after."""

    @kopf.on.login(registry=registry, id="login")
    async def login(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)

    @kopf.on.startup(registry=registry, id="start")
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await controller.start()

    @kopf.on.cleanup(registry=registry, id="stop")
    async def stop(**_: Any) -> None:
        await controller.stop()

    @kopf.on.probe(registry=registry, id="watches")
    async def watches(**_: Any) -> Json:
        return controller.health()


def configure(settings: kopf.OperatorSettings) -> None:
    """kopf's settings; why each one is there: https://docs.kopf.dev/en/stable/configuration/."""
    settings.posting.enabled = False  # events are posted deliberately, on changes of state
    settings.watching.server_timeout = 240  # a watch that lives forever dies silently
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500  # thousands of objects need not come in one answer
    settings.networking.request_timeout = 30
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.scanning.disabled = True  # the four kinds are known; CRDs need not be watched
