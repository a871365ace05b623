"""`helm test`: the API server knows the four kinds, and the operator is well. Argument: its Service."""

import http.client
import json
import os
import ssl
import sys
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = {"Image", "Manifest", "Model", "Service"}


def get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None) -> bytes:
    """The body of the answer, which must be 200."""
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
    except OSError as error:
        sys.exit(f"{connection.host}:{connection.port} does not answer: {error}")
    if answer.status != http.HTTPStatus.OK:
        sys.exit(f"{connection.host}:{connection.port}{path} answers {answer.status} {answer.reason}")
    return answer.read()


server = http.client.HTTPSConnection(
    os.environ["KUBERNETES_SERVICE_HOST"],
    int(os.environ["KUBERNETES_SERVICE_PORT"]),
    timeout=10,
    context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
)
token = (ACCOUNT / "token").read_text()
group = json.loads(get(server, "/apis/modelyard.dev/v1alpha1", {"Authorization": f"Bearer {token}"}))
if missing := KINDS - {resource["kind"] for resource in group["resources"]}:
    sys.exit(f"the API server does not know {', '.join(sorted(missing))}")
get(http.client.HTTPConnection(sys.argv[1], 8081, timeout=10), "/healthz")
get(http.client.HTTPConnection(sys.argv[1], 8080, timeout=10), "/metrics")
