"""`modelyard images` against the registry and the API server of the local cluster."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml
from tests.integration.chart.tools import CHART, REQUIRED, runner
from tests.support.registry_images import RegistryImages, descriptor

from modelyard.api import labels
from modelyard.api.owners import Owner
from modelyard.builder.attestation.attach import (
    Attachment,
    manifest,
)
from modelyard.contract.registry_names import LAYER_CACHE_REPOSITORY
from modelyard.oci import Descriptor
from modelyard.resources.revision import controller_revision

Command = Callable[..., str]
ACCOUNT = "modelyard-cleanup"
RIGHTS = {"ServiceAccount", "Role", "RoleBinding"}
HASHES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(9)]


@pytest.fixture
def kubeconfig_of_cleanup(
    api: httpx.Client, kubeconfig: Path, kubectl: Callable[..., str], namespace: str, tmp_path: Path
) -> Path:
    """A kubeconfig with the service account of the CronJob, limited to the namespace of the test."""
    values = ("registry.cleanup.enabled=true", f"watchNamespaces={{{namespace}}}")
    arguments = [argument for value in values for argument in ("--set", value)]
    output = runner("helm")("template", "modelyard", CHART, "--namespace", namespace, *REQUIRED, *arguments)
    objects = [item for item in yaml.safe_load_all(output) if item and item["kind"] in RIGHTS]
    mine = [item for item in objects if item["metadata"]["name"].startswith(ACCOUNT)]
    assert len(mine) == 5
    kubectl("apply", "--filename=-", text=yaml.safe_dump_all(mine))
    token = kubectl("create", "token", ACCOUNT, f"--namespace={namespace}").strip()
    config = yaml.safe_load(kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.fixture
def command(images: RegistryImages, namespace: str, kubeconfig_of_cleanup: Path, tmp_path: Path) -> Command:
    """Run `modelyard images …` for the test's namespace and prefix, and return its output."""
    file = tmp_path / "settings.yaml"
    registry = {"push": images.host, "repository": images.prefix}
    settings = {"namespace": namespace, "watchNamespaces": [namespace], "registry": registry}
    file.write_text(yaml.safe_dump(settings))
    source = Path(__file__).parents[3] / "operator"
    overrides = {
        "MODELYARD_CONFIG": str(file),
        "KUBECONFIG": str(kubeconfig_of_cleanup),
        "PYTHONPATH": str(source),
    }

    def run(*arguments: str) -> str:
        program = [sys.executable, "-m", "modelyard", "images", *arguments]
        done = subprocess.run(
            program, env=os.environ | overrides, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _location(images: RegistryImages, path: str, image: Descriptor) -> str:
    return f"pull.example.com/{images.prefix}/{path}@{image['digest']}"


def _deployment(image: str) -> dict[str, object]:
    selected = {"app": "m"}
    pod = {"containers": [{"name": "m", "image": image}]}
    return {
        "metadata": {"name": "m"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": selected},
            "template": {"metadata": {"labels": selected}, "spec": pod},
        },
    }


def _post(api: httpx.Client, path: str, body: dict[str, object]) -> None:
    api.post(path, json=body).raise_for_status()


def test_prune_deletes_unused_images_and_no_others(
    images: RegistryImages, command: Command, api: httpx.Client, crds: None, namespace: str
) -> None:
    path = f"{namespace}/m"
    workload, recorded, tagged, unused = (images.push(path, name) for name in HASHES[:4])
    images.push(path, "blessed", images.manifest(path, author=HASHES[2]))
    attached = Attachment("application/vnd.example+json", b"{}")
    images.registry.upload_bytes(images.repository(path), b"{}")
    body = manifest(unused, attached)
    images.registry.put_referrers(images.repository(path), [body], unused["mediaType"])
    referrer = descriptor(body)["digest"]
    layers = images.push(LAYER_CACHE_REPOSITORY, HASHES[4])
    base = images.push("python", HASHES[5])  # its path is not <prefix>/<namespace>/<image>
    elsewhere = images.push("another-namespace/m", HASHES[6])
    _post(
        api,
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
        _deployment(_location(images, path, workload)),
    )
    index, member = images.push_index(path, HASHES[7])
    unused_index, unused_member = images.push_index(path, HASHES[8])
    of_index = _deployment(_location(images, path, {"digest": index})) | {"metadata": {"name": "index"}}
    _post(api, f"/apis/apps/v1/namespaces/{namespace}/deployments", of_index)
    annotations = {labels.STATE: "Succeeded", labels.IMAGE_LOCATION: _location(images, path, recorded)}
    body = controller_revision(
        Owner("Image", "m", "11111111-1111-1111-1111-111111111111"), 1, {}, annotations
    )
    body["metadata"].pop("ownerReferences")  # Kubernetes would delete an object whose owner does not exist
    _post(api, f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions", body)

    listed = command("list")
    assert f"needed  {images.prefix}/{path}@{workload['digest']}  Deployment {namespace}/m" in listed
    assert f"needed  {images.prefix}/{path}@{recorded['digest']}  Image {namespace}/m:1" in listed
    assert f"needed  {images.prefix}/{path}@{tagged['digest']}  tagged blessed, {HASHES[2]}" in listed
    assert f"unused  {images.prefix}/{path}@{unused['digest']}" in listed
    assert f"needed  {images.prefix}/{path}@{index}  Deployment {namespace}/index" in listed
    assert f"needed  {images.prefix}/{path}@{member}  in the index {index}: Deployment" in listed
    assert listed.count("\n") == 8

    assert f"would delete {images.prefix}/{path}@{unused['digest']}" in command("prune", "--older-than=0s")
    assert "0 expired" in command("prune", "--delete")
    assert images.has(path, unused["digest"])

    output = command("prune", "--delete", "--older-than=0s")
    assert f"deleted {images.prefix}/{path}@{unused['digest']}" in output
    assert not images.has(path, unused["digest"])
    assert not images.has(path, referrer)
    assert not images.has(LAYER_CACHE_REPOSITORY, layers["digest"])
    assert not images.has(path, unused_index)
    assert not images.has(path, unused_member)
    assert images.has(path, member)
    assert set(images.registry.tags(images.repository(path))) == {*HASHES[:3], "blessed", HASHES[7]}
    for repository, kept in [(path, workload), (path, recorded), (path, tagged)]:
        assert images.has(repository, kept["digest"])
    assert images.has("python", base["digest"])
    assert images.has("another-namespace/m", elsewhere["digest"])
    assert "0 expired, 0 have been unused" in command("prune", "--delete")
