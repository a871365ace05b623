"""Kubernetes events on changes of state."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from typing import Final

from modelyard.api.names import API_VERSION
from modelyard.kube.errors import KubeError, NamespaceTerminating
from modelyard.kube.interface import KubeClient
from modelyard.kube.types import EVENTS
from modelyard.reconcile.objects import CustomObject

_LOG: Final = logging.getLogger(__name__)
_CONTROLLER: Final = "modelyard.dev/operator"
_NOTE_BYTES: Final = 1024  # https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/


class EventRecorder:
    """Posts events; one that cannot be posted is logged and lost."""

    def __init__(self, client: KubeClient, instance: str):
        self._client = client
        self._instance = instance[:128]

    async def record(self, item: CustomObject, reason: str, note: str, *, warning: bool = False) -> None:
        """Say what became of an object."""
        now = dt.datetime.now(dt.UTC)
        body = {
            **EVENTS.header(),
            "metadata": {"name": f"{item.key.name}.{uuid.uuid4().hex[:16]}", "namespace": item.key.namespace},
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": item.key.kind,
                "namespace": item.key.namespace,
                "name": item.key.name,
                "uid": item.uid,
            },
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": "Warning" if warning else "Normal",
            "reason": reason[:128],
            "action": "Reconcile",
            "note": note.encode()[:_NOTE_BYTES].decode(errors="ignore"),
            "reportingController": _CONTROLLER,
            "reportingInstance": self._instance,
        }
        try:
            await self._client.create(EVENTS, item.key.namespace, body)
        except NamespaceTerminating:
            pass  # nobody would read it
        except KubeError as error:
            _LOG.warning("event %s of %s: %s", reason, item.key, error)
