"""Services with `spec.pod` on a real kubelet: variables and volumes of a driver, and settings that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
from tests.support.cluster import Json, Kubectl
from tests.support.objects import image, manifest, service
from tests.support.status import wait_for_status

Score = Callable[..., httpx.Response]
PATIENCE_SECONDS: Final = 90
DRIVER: Final = """\
import os
import pathlib


def init():
    pathlib.Path("/cache/model").write_text("unpacked")


def run(body):
    claim, token = pathlib.Path("/data"), pathlib.Path("/identity/token")
    return {
        "secret": os.environ["TOKEN"],
        "config map": os.environ["APP_CURRENCY"],
        "field": os.environ["POD"],
        "limit": os.environ["LIMIT"],
        "cache": pathlib.Path("/cache/model").read_text(),
        "claim": [claim.is_mount(), os.access(claim, os.W_OK)],
        "file": pathlib.Path("/settings/rates.csv").read_text(),
        "token": token.read_text().count("."),
        "groups": sorted(os.getgroups()),
    }
"""
POD: Final[dict[str, Any]] = {
    "env": [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "store", "key": "token"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
    ],
    "envFrom": [{"prefix": "APP_", "configMapRef": {"name": "settings"}}],
    "resources": {"limits": {"memory": "300Mi"}},
    "volumes": [
        {"name": "cache", "emptyDir": {"sizeLimit": "16Mi"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        {"name": "settings", "configMap": {"name": "settings"}},
        {
            "name": "identity",
            "projected": {"sources": [{"serviceAccountToken": {"audience": "store", "path": "token"}}]},
        },
    ],
    "volumeMounts": [
        {"name": "cache", "mountPath": "/cache"},
        {"name": "data", "mountPath": "/data", "readOnly": True},
        {"name": "settings", "mountPath": "/settings"},
        {"name": "identity", "mountPath": "/identity"},
    ],
    "serviceAccountName": "scorer",
    "labels": {"team": "a"},
    "securityContext": {"supplementalGroups": [30000]},
}
ABSENT: Final = {"name": "absent"}
REFUSED: Final = (
    ("env", {"env": [{"name": "A", "valueFrom": {"secretKeyRef": ABSENT | {"key": "k"}}}]},
     "ContainerNotStarted", 'secret "absent" not found'),
    ("config-map", {"envFrom": [{"configMapRef": ABSENT}]},
     "ContainerNotStarted", 'configmap "absent" not found'),
    ("volume", {"volumes": [{"name": "v", "secret": {"secretName": "absent"}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
     "VolumeNotMounted", 'secret "absent" not found'),
    ("claim",
     {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "absent", "readOnly": True}}]},
     "Unschedulable", 'persistentvolumeclaim "absent" not found'),
    ("account", {"serviceAccountName": "absent"}, "ReplicasRefused", 'serviceaccount "absent" not found'),
    ("gpu", {"resources": {"limits": {"example.com/gpu": 1}}},
     "Unschedulable", "Insufficient example.com/gpu"),
    ("class", {"runtimeClassName": "sandbox"}, "PodSettingsNotAllowed", "spec.pod.runtimeClassName"),
)  # fmt: skip


def claim() -> Json:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": spec,
    }


def test_driver_sees_variables_and_volumes(kubectl: Kubectl, score: Score) -> None:
    kubectl("create", "secret", "generic", "store", "--from-literal=token=s3cret")
    kubectl("create", "configmap", "settings", "--from-literal=CURRENCY=EUR", "--from-literal=rates.csv=1")
    kubectl("create", "serviceaccount", "scorer")
    kubectl.apply(claim(), manifest("m", DRIVER), image("m"), service("m", "m", pod=POD))
    wait_for_status(kubectl, "msvc", "m", 2 * PATIENCE_SECONDS, state="Succeeded")
    answer = score(kubectl, "m").json()
    assert 30000 in answer.pop("groups")
    assert answer == {
        "secret": "s3cret",
        "config map": "EUR",
        "field": "a",
        "limit": str(300 * 1024 * 1024),
        "cache": "unpacked",
        "claim": [True, False],
        "file": "1",
        "token": 2,
    }
    kubectl(
        "patch", "msvc", "m", "--type=merge", "-p", '{"spec": {"pod": {"envFrom": null, "labels": null}}}'
    )
    wait_for_status(kubectl, "msvc", "m", PATIENCE_SECONDS, version=2)
    template = kubectl.get("deployment", "m")["spec"]["template"]
    assert "envFrom" not in template["spec"]["containers"][0]
    assert "team" not in template["metadata"]["labels"]


@pytest.fixture(scope="module")
def refused(shared: Kubectl) -> Kubectl:
    """Services with settings that fail, all rolled out side by side."""
    for name, pod, _, _ in REFUSED:
        shared.apply(service(f"refused-{name}", "one", pod=pod))
    return shared


@pytest.mark.parametrize(("name", "pod", "reason", "words"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_setting_that_fails_is_told_with_its_object(
    refused: Kubectl, name: str, pod: Json, reason: str, words: str
) -> None:
    def told(status: Json) -> bool:
        ready = [each for each in status.get("conditions", ()) if each["type"] == "Ready"]
        return any(each["reason"] == reason and words in each["message"] for each in ready)

    wait_for_status(refused, "msvc", f"refused-{name}", PATIENCE_SECONDS, also=told)
    refused("delete", "msvc", f"refused-{name}", "--wait=false")
