"""Models on a PersistentVolumeClaim, read by builds of a namespace that is `restricted`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import httpx
import pytest
from tests.support.cluster import OPERATOR_NAMESPACE, Json, Kubectl, operator_image
from tests.support.objects import MODEL_DRIVER, image, manifest, model, service
from tests.support.operator import SYSTEM, build_jobs
from tests.support.status import wait_for_status

Score = Callable[..., httpx.Response]
CLAIM: Final = "e2e-shared"  # of values.yaml
# Written as root; builds are another user, and of another group.
FILL: Final = """\
cd /volume && mkdir -p deep folder && echo -n weights >deep/model.txt && ln -s deep latest
echo -n mine >private && chmod 600 private
ln -s /etc/modelyard/request/request.json.gz outside
"""


class Unreadable(NamedTuple):
    """A URL that cannot be read, and the expected error of the Image."""

    name: str
    url: str
    code: str
    says: str


UNREADABLE: Final = (
    Unreadable("gone", "pvc://e2e-shared/nowhere", "SourceNotFound", "does not exist"),
    Unreadable("folder", "pvc://e2e-shared/folder", "SourceRefused", "is a folder"),
    Unreadable("mode", "pvc://e2e-shared/private", "SourceForbidden", "by the user 10001 of builds"),
    Unreadable("link", "pvc://e2e-shared/outside", "SourceDenied", "leads out of its volume"),
    Unreadable("dots", "pvc://e2e-shared/../../etc/passwd", "SourceDenied", "leads out of its volume"),
    Unreadable("private", "pvc://e2e-private/model.txt", "ClaimNotOffered", "'e2e-private' is not offered"),
)


@pytest.fixture(scope="module")
def claim(namespace: Callable[[], Kubectl]) -> Iterator[None]:
    """A folder of a node, filled by a pod that may, as a volume in the release's namespace."""
    kubectl = namespace()
    folder = f"/var/tmp/modelyard-{uuid.uuid4().hex[:12]}"
    kubectl.apply(_filler(folder))
    kubectl("wait", "pod/filler", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s", timeout=190)
    volume = _volume(folder, kubectl.get("pod", "filler")["spec"]["nodeName"])
    _remove(volume)
    kubectl.apply(volume)
    SYSTEM.apply(_claim(volume))
    yield
    _remove(volume)


def _remove(volume: Json) -> None:
    """Also what an earlier run that was interrupted has left."""
    SYSTEM("delete", "pvc", CLAIM, "--ignore-not-found")
    SYSTEM("delete", "pv", volume["metadata"]["name"], "--ignore-not-found")


def _filler(folder: str) -> Json:
    volume = {"name": "volume", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}
    container = {
        "name": "filler", "image": operator_image(), "command": ["sh", "-ec", FILL],
        "securityContext": {"runAsUser": 0}, "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
    }  # fmt: skip
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "filler"}, "spec": spec}


def _volume(folder: str, node: str) -> Json:
    there = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": CLAIM},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Mi"}, "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": folder},
            "claimRef": {"namespace": OPERATOR_NAMESPACE, "name": CLAIM},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": there}]}},
        },
    }  # fmt: skip


def _claim(volume: Json) -> Json:
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM},
        "spec": {
            "accessModes": volume["spec"]["accessModes"], "storageClassName": "",
            "volumeName": volume["metadata"]["name"], "resources": {"requests": {"storage": "1Mi"}},
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def failed(claim: None, namespace: Callable[[], Kubectl]) -> Iterator[Kubectl]:
    """A namespace in which all that cannot be read is built side by side."""
    kubectl = namespace()
    for case in UNREADABLE:
        kubectl.apply(
            model(case.name, case.url), manifest(case.name, MODEL_DRIVER, case.name), image(case.name)
        )
    yield kubectl
    kubectl("delete", "img", "--all")  # with the pods of their builds, which hold the claim


def test_model_on_a_claim_is_served(claim: None, kubectl: Kubectl, score: Score) -> None:
    level = SYSTEM.get("namespace", OPERATOR_NAMESPACE)["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "restricted"
    kubectl.apply(
        model("echo", f"pvc://{CLAIM}/latest/model.txt"), manifest("echo", MODEL_DRIVER, "echo"),
        image("echo"), service("echo", "echo"),
    )  # fmt: skip
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded")
    assert score(kubectl, "echo").json() == "weights"
    (job,) = build_jobs(kubectl.namespace, "echo")
    (mounted,) = (
        item for item in job["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in item
    )
    assert mounted["persistentVolumeClaim"] == {"claimName": CLAIM, "readOnly": True}


@pytest.mark.parametrize("case", UNREADABLE, ids=lambda case: case.name)
def test_unreadable_url_fails_with_its_code(failed: Kubectl, case: Unreadable) -> None:
    error = wait_for_status(failed, "img", case.name, 120, state="Failed")["error"]
    assert error["code"] == case.code
    assert case.says in error["message"]
    assert case.url in error["message"]


def test_missing_claim_blocks_only_its_own_build(claim: None, kubectl: Kubectl, score: Score) -> None:
    for name, url in (("waits", "pvc://e2e-missing/model.txt"), ("echo", f"pvc://{CLAIM}/deep/model.txt")):
        kubectl.apply(model(name, url), manifest(name, MODEL_DRIVER, name), image(name))
    wait_for_status(kubectl, "img", "echo", 120, state="Succeeded")
    wait_for_status(
        kubectl, "img", "waits", 60, state="Running",
        also=lambda told: '"e2e-missing" not found' in told.get("progress", ""),
    )  # fmt: skip
