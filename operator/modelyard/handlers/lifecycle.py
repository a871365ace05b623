"""Start, stop and liveness of the operator."""

from __future__ import annotations

from typing import Any

import kopf

from modelyard.controller.controller import Controller
from modelyard.kube.types import Json


def register(registry: kopf.OperatorRegistry, controller: Controller) -> None:
    """The controller starts and stops with the process, and answers its liveness probe."""

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
    """Kopf's settings; why each one is there: https://docs.kopf.dev/en/stable/configuration/."""
    settings.posting.enabled = False  # events are posted deliberately, on changes of state
    settings.scanning.disabled = True  # kopf watches nothing: one of its events costs more than a reconcile
