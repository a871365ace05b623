"""Kubernetes events about state changes of custom resources."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from typing import Final, Protocol

from modelyard.api.names import API_VERSION
from modelyard.kube.errors import KubeError, NamespaceTerminating
from modelyard.kube.interface import KubeClient
from modelyard.kube.types import EVENTS, Key

_LOG: Final = logging.getLogger(__name__)
OPERATOR: Final = "modelyard.dev/operator"
SCALER: Final = "modelyard.dev/scaler"
# Limits of the Event API: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
_MAX_NOTE_BYTES: Final = 1024
_MAX_REASON_CHARACTERS: Final = 128
_MAX_INSTANCE_CHARACTERS: Final = 128


class Subject(Protocol):
    """The custom resource that an event is about."""

    @property
    def key(self) -> Key:
        """Kind, namespace and name."""

    @property
    def uid(self) -> str:
        """UID of the object."""


class EventRecorder:
    """Recorder of events. An event that the API server rejects is logged and dropped."""

    def __init__(self, client: KubeClient, instance: str, controller: str = OPERATOR):
        """`instance` is the name of the pod that records, and `controller` its program."""
        self._client = client
        self._controller = controller
        self._instance = instance[:_MAX_INSTANCE_CHARACTERS]

    async def record(self, obj: Subject, reason: str, note: str, *, warning: bool = False) -> None:
        """Create an event about an object, of type Warning or Normal."""
        now = dt.datetime.now(dt.UTC)
        body = {
            **EVENTS.header(),
            "metadata": {"name": f"{obj.key.name}.{uuid.uuid4().hex[:16]}", "namespace": obj.key.namespace},
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": obj.key.kind,
                "namespace": obj.key.namespace,
                "name": obj.key.name,
                "uid": obj.uid,
            },
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": "Warning" if warning else "Normal",
            "reason": reason[:_MAX_REASON_CHARACTERS],
            "action": "Reconcile",
            "note": note.encode()[:_MAX_NOTE_BYTES].decode(errors="ignore"),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
        }
        try:
            await self._client.create(EVENTS, obj.key.namespace, body)
        except NamespaceTerminating:
            pass  # the namespace goes, and its events with it
        except KubeError as error:
            _LOG.warning("cannot create event %s of %s: %s", reason, obj.key, error)
