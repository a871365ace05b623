"""The floor: one process that POSTs the objects of N Services, with no operator.

The objects are the same: the user's Service, the children that the operator makes, its status and its event.
The Services are of a copy of the CRD in another group, so that the operator does not see them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from typing import Final

import yaml
from tests.support.cluster import ROOT, Kubectl

from modelyard.api.access_keys import missing_keys
from modelyard.api.kinds import SERVICE
from modelyard.api.names import GROUP, VERSION
from modelyard.api.owners import Owner, owner_reference
from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.api.status import State
from modelyard.kube.client import Client
from modelyard.kube.types import (
    CORE_SERVICES,
    DEPLOYMENTS,
    REVISIONS,
    SECRETS,
    ApiResource,
    Json,
)
from modelyard.reconcile.event_recorder import EventRecorder
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome
from modelyard.reconcile.status_writer import desired_status
from modelyard.reconcile.timestamps import format_timestamp
from modelyard.resources import serving
from modelyard.resources.pod_template import ScoringImage
from modelyard.resources.revision import controller_revision
from modelyard.settings import ScoringSettings

_GROUP: Final = "bench.modelyard.dev"
_SERVICES: Final = ApiResource(f"{_GROUP}/{VERSION}", SERVICE.name, SERVICE.plural)
_IMAGE: Final = "localhost:5001/modelyard/bench@sha256:" + "0" * 64


@contextlib.asynccontextmanager
async def floor_services() -> AsyncIterator[None]:
    """Create the copy of the CRD for the context."""
    crd = yaml.safe_load((ROOT / f"crds/{GROUP}_{SERVICE.plural}.yaml").read_text(encoding="utf-8"))
    names = crd["spec"]["names"]
    crd["metadata"]["name"] = f"{names['plural']}.{_GROUP}"
    crd["spec"] |= {"group": _GROUP, "names": {key: names[key] for key in ("kind", "plural")}}
    kubectl = Kubectl("default")
    kubectl.apply(crd)
    kubectl("wait", "--for=condition=Established", f"crd/{crd['metadata']['name']}")
    try:
        yield
    finally:
        kubectl("delete", "crd", crd["metadata"]["name"], timeout=900)


async def create_all(client: Client, namespace: str, body: Json) -> None:
    """Create a Service and the objects that the operator would create for it, in the operator's order."""
    posted = body | _SERVICES.header()
    created = await client.create(_SERVICES, namespace, posted)
    item = CustomObject.read(SERVICE.name, posted | {"metadata": created["metadata"]})
    for resource, child in _children(item):
        await client.create(resource, namespace, child)
    outcome = _outcome(item)
    status = desired_status(item, outcome, format_timestamp(dt.datetime.now(dt.UTC)))
    await client.patch(_SERVICES, namespace, item.key.name, {"status": status}, subresource="status")
    await EventRecorder(client, "bench").record(item, outcome.reason, outcome.message)


def _children(item: CustomObject) -> list[tuple[ApiResource, Json]]:
    owner = Owner(SERVICE.name, item.key.name, item.uid)
    spec = ServiceSpec.model_validate(item.spec)
    children = [
        (REVISIONS, controller_revision(owner, 1, {"imageId": "bench:1", "numReplicas": 0}, {})),
        (SECRETS, serving.keys(owner) | {"data": missing_keys({})}),
        (DEPLOYMENTS, serving.deployment(owner, spec, ScoringImage(_IMAGE), ScoringSettings())),
        (CORE_SERVICES, serving.core_service(owner)),
    ]
    for _, body in children:
        body["metadata"] |= {
            "ownerReferences": [owner_reference(owner) | {"apiVersion": _SERVICES.api_version}],
            # Not the labels of the operator, which would put these objects into its cache.
            "labels": {"bench": "floor"},
        }
    return children


def _outcome(item: CustomObject) -> Outcome:
    """Return the outcome of a Service that succeeded, with all fields of its status."""
    revision = Revision(item.key, 1, item.uid, 1, format_timestamp(dt.datetime.now(dt.UTC)), "", (), {})
    fields = {
        "scoringUri": serving.scoring_uri(item.key.name, item.key.namespace, ScoringSettings()),
        "replicas": 0,
        "readyReplicas": 0,
        "imageLocation": _IMAGE,
        "imageId": "bench:1",
        "manifestId": "bench:1",
    }
    available = {"Available": (False, "NoReplica", "no replica serves")}
    return Outcome(
        State.SUCCEEDED, "Serving", "serving Image bench:1", revision, fields=fields, conditions=available
    )
