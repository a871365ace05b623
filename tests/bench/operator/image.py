"""A built image for the Services: a minimal driver without models and requirements."""

from __future__ import annotations

from typing import Any, Final

from tests.support.cluster import Kubectl, eventually

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import Client
from modelyard.kube.errors import AlreadyExists

_DRIVER: Final = "def init():\n    pass\n\n\ndef run(body):\n    return body\n"
_SPECS: Final[dict[str, dict[str, Any]]] = {
    "Manifest": {
        "driverProgram": "driver",
        "assets": [{"id": "driver", "content": _DRIVER}],
        "targetRuntime": {"runtimeType": "Python", "properties": {}},
    },
    "Image": {"manifestId": "bench", "imageType": "Docker"},
}


async def built_image(client: Client, namespace: str) -> None:
    """Create a namespace with an Image `bench`, and wait until the Image is built."""
    kubectl = Kubectl(namespace)
    kubectl("create", "namespace", namespace)
    for kind, spec in _SPECS.items():
        body = {**CUSTOM_RESOURCES[kind].header(), "metadata": {"name": "bench"}, "spec": spec}
        try:
            await client.create(CUSTOM_RESOURCES[kind], namespace, body)
        except AlreadyExists:
            continue
    eventually(
        lambda: kubectl.get("img", "bench").get("status", {}).get("imageLocation"),
        600,
        "a built image",
    )
