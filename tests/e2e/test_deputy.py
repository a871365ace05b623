"""Attempts of users with few rights to read Secrets with the rights of the operator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import pytest
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.objects import constant_driver, image, manifest, model
from tests.support.status import condition, wait_for_status

URL: Final = "http://web.invalid/model"
EVERYTHING: Final = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
OUR_KINDS: Final = {"apiGroups": ["modelyard.dev"], "resources": ["*"], "verbs": ["*"]}


class Tenant(Kubectl):
    """kubectl with the rights of a ServiceAccount of the namespace."""

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        user = f"system:serviceaccount:{self.namespace}:tenant"
        return super().__call__(*arguments, f"--as={user}", stdin=stdin, timeout=timeout)


def tenant(kubectl: Kubectl, rule: Json) -> Tenant:
    """Create a ServiceAccount with one rule in its own namespace."""
    subject = {"kind": "ServiceAccount", "name": "tenant", "namespace": kubectl.namespace}
    rbac = "rbac.authorization.k8s.io"
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant"}},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": "tenant"}, "rules": [rule]},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "tenant"},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "tenant"},
            "subjects": [subject],
        },
    )
    return Tenant(kubectl.namespace)


def forged(uid: str, secret: str) -> Json:
    """Return version 2 of the Model `m`, whose secretRef leads to another namespace."""
    owner = {"apiVersion": "modelyard.dev/v1alpha1", "kind": "Model", "name": "m", "uid": uid}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": "model-m-2",
            "labels": {"app.kubernetes.io/managed-by": "modelyard", "modelyard.dev/model": "m"},
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": False}],
        },
        "revision": 2,
        "data": {"url": URL, "mimeType": "x", "secretRef": {"name": secret}},
    }


def test_forged_version_reads_no_secret_of_another_namespace(namespace: Callable[[], Kubectl]) -> None:
    own, other = namespace(), namespace()
    other("create", "secret", "generic", "x", "--from-literal=token=TOKEN-OF-ANOTHER-TENANT")
    other("label", "secret", "x", "modelyard.dev/source=true")
    evil = tenant(own, EVERYTHING)
    with pytest.raises(RuntimeError, match="forbidden"):
        evil("get", "secrets", "--namespace", other.namespace)
    evil.apply(model("m", "data:,x"))
    wait_for_status(own, "mdl", "m", 60, state="Succeeded")
    uid = own.get("mdl", "m")["metadata"]["uid"]
    evil("create", "--filename=-", stdin=json.dumps(forged(uid, f"../../{other.namespace}/secrets/x")))
    evil.apply(manifest("m", constant_driver("x"), "m:2"), image("m"))
    status = wait_for_status(own, "mft", "m", 60, also=lambda status: _reason(status) == "VersionInvalid")
    assert "ControllerRevision model-m-2" in condition(status, "Ready")["message"]
    evil("delete", "controllerrevision", "model-m-2")
    evil.patch("mft", "m", {"spec": {"modelIds": ["m"]}})
    wait_for_status(own, "mft", "m", 60, state="Succeeded")


def test_secret_for_another_purpose_is_no_source(namespace: Callable[[], Kubectl]) -> None:
    own = namespace()
    author = tenant(own, OUR_KINDS)
    with pytest.raises(RuntimeError, match="forbidden"):
        author("get", "secrets", "--namespace", own.namespace)
    annotations = {"kubernetes.io/service-account.name": "tenant"}
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "token", "annotations": annotations, "labels": {"modelyard.dev/source": "true"}},
    }
    own.apply(token)
    own("create", "secret", "generic", "database", "--from-literal=password=p", "--from-literal=username=u")
    eventually(lambda: own.get("secret", "token").get("data"), 60, "the token exists")
    for name in ("token", "database"):
        author.apply(
            model(name, URL, secretRef={"name": name}),
            manifest(name, constant_driver("x"), name),
            image(name),
        )
    for name, words in (("token", "of type kubernetes.io/service-account-token"), ("database", "no label")):
        # In progress while the status of the Manifest is under way, then stalled.
        status = wait_for_status(
            own, "img", name, 60, also=lambda s: condition(s, "Stalled").get("status") == "True"
        )
        assert _reason(status) == "SecretNotAllowed"
        assert words in condition(status, "Stalled")["message"]
    with pytest.raises(RuntimeError, match="forbidden"):
        author("label", "secret", "database", "modelyard.dev/source=true")


def _reason(status: Json) -> str | None:
    return condition(status, "Ready").get("reason")
