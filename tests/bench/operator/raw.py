"""The floor: one process that POSTs the objects of N Services, with no operator.

A ConfigMap stands for the Service itself and a patch of it for the status, so that the count of writes is the
same: 6 for each, the user's own included.
"""

from __future__ import annotations

import asyncio
import time

from tests.support.cluster import Kubectl

from modelyard.api.service import ServiceSpec
from modelyard.kube.client import Client
from modelyard.kube.types import (
    CONFIG_MAPS,
    CORE_SERVICES,
    DEPLOYMENTS,
    REVISIONS,
    SECRETS,
    ApiResource,
    Json,
)
from modelyard.resources import scoring
from modelyard.resources.revision import Owner, revision
from modelyard.settings import Scoring


def objects(index: int, image: str) -> list[tuple[ApiResource, Json]]:
    """What the operator makes for one Service, without owners, which are not there."""
    owner = Owner("Service", f"made-{index}", "00000000-0000-0000-0000-000000000000")
    spec = ServiceSpec(image_id="bench", num_replicas=0)
    made = [
        (REVISIONS, revision(owner, 1, {"imageId": "bench:1", "numReplicas": 0}, {})),
        (SECRETS, scoring.keys(owner) | {"data": scoring.missing_keys({})}),
        (DEPLOYMENTS, scoring.deployment(owner, spec, image, Scoring())),
        (CORE_SERVICES, scoring.core_service(owner)),
    ]
    for _, body in made:
        del body["metadata"]["ownerReferences"]
        # Not the operator's: it would take them into its memory.
        body["metadata"]["labels"] = {"bench": "raw"}
    return made


async def raw_creates(client: Client, namespace: str, count: int, in_flight: int) -> float:
    """Seconds for the objects of `count` Services."""
    Kubectl("default")("create", "namespace", namespace)
    indexes = iter(range(count))

    async def one() -> None:
        for index in indexes:
            marker = {
                **CONFIG_MAPS.header(),
                "metadata": {"name": f"made-{index}"},
                "data": {"spec": "x" * 100},
            }
            await client.create(CONFIG_MAPS, namespace, marker)
            for resource, body in objects(index, "localhost/bench@sha256:0"):
                await client.create(resource, namespace, body)
            await client.merge(CONFIG_MAPS, namespace, f"made-{index}", {"data": {"status": "x" * 1000}})

    started = time.monotonic()
    await asyncio.gather(*(one() for _ in range(in_flight)))
    return time.monotonic() - started
