"""`helm test`: the API server answers for the four kinds, and the operator is healthy. Argument: its Service."""

import json
import os
import ssl
import sys
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = {"Image", "Manifest", "Model", "Service"}


def kinds() -> set[str]:
    """The kinds that the API server serves for modelyard.dev/v1alpha1."""
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(
        f"{server}/apis/modelyard.dev/v1alpha1", headers={"Authorization": f"Bearer {token}"}
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return {resource["kind"] for resource in json.load(answer)["resources"]}


if missing := KINDS - kinds():
    sys.exit(f"the API server does not know {', '.join(sorted(missing))}: are the CRDs installed?")
for url in (f"http://{sys.argv[1]}:8081/healthz", f"http://{sys.argv[1]}:8080/metrics"):
    with urllib.request.urlopen(url, timeout=10) as answer:
        print(url, answer.status)
