"""Admission webhooks and policies of a platform, which delay or refuse requests in one namespace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.support.cluster import Json, Kubectl


@contextlib.contextmanager
def applied(kubectl: Kubectl, *objects: Json) -> Iterator[None]:
    """Apply objects, and delete them at the end."""
    kubectl.apply(*objects)
    try:
        yield
    finally:
        for item in objects:
            kubectl("delete", item["kind"], item["metadata"]["name"], "--wait=false")


def admission_hook(namespace: str, url: str, resource: str, **settings: Any) -> Json:
    """Return a webhook that the API server calls before it creates objects of a resource in a namespace."""
    group, _, plural = resource.rpartition("/")
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [plural]}
    hook = {
        "name": f"{plural}.tests.modelyard.dev",
        "clientConfig": {"url": url},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **settings,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"tests-{plural}"},
        "webhooks": [hook],
    }


def refusal(namespace: str, name: str) -> list[Json]:
    """Return an admission policy that refuses the status of a Model, and its binding."""
    rule = {
        "apiGroups": ["modelyard.dev"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["models/status"],
    }
    metadata = {"name": "tests-refusal"}
    header = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": metadata}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return [
        {
            **header,
            "kind": "ValidatingAdmissionPolicy",
            "spec": {
                "matchConstraints": {"namespaceSelector": selector, "resourceRules": [rule]},
                "validations": [{"expression": f"object.metadata.name != '{name}'", "message": "not here"}],
            },
        },
        {
            **header,
            "kind": "ValidatingAdmissionPolicyBinding",
            "spec": {"policyName": metadata["name"], "validationActions": ["Deny"]},
        },
    ]
