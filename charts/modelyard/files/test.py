"""`helm test`: check that the API server serves the four kinds and that the operator is healthy.

The argument is the name of the operator's core Service.
"""

import http.client
import json
import os
import ssl
import sys
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = {"Image", "Manifest", "Model", "Service"}


def get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None) -> bytes:
    """Return the body of a response; exit with a message if the status is not 200."""
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
    except OSError as error:
        sys.exit(f"{connection.host}:{connection.port} does not answer: {error}")
    if response.status != http.HTTPStatus.OK:
        sys.exit(f"{connection.host}:{connection.port}{path} answers {response.status} {response.reason}")
    return response.read()


server = http.client.HTTPSConnection(
    os.environ["KUBERNETES_SERVICE_HOST"],
    int(os.environ["KUBERNETES_SERVICE_PORT"]),
    timeout=10,
    context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
)
token = (ACCOUNT / "token").read_text()
group = json.loads(get(server, "/apis/modelyard.dev/v1alpha1", {"Authorization": f"Bearer {token}"}))
if missing := KINDS - {resource["kind"] for resource in group["resources"]}:
    sys.exit(f"the API server does not serve the kinds {', '.join(sorted(missing))}: install the CRDs")
get(http.client.HTTPConnection(sys.argv[1], 8081, timeout=10), "/readyz")
get(http.client.HTTPConnection(sys.argv[1], 8080, timeout=10), "/metrics")
