"""An image for two platforms in a real registry, as other programs and a node of the cluster read it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
from tests.integration.builder.conftest import Builds
from tests.support.programs import program
from tests.support.registry_images import RegistryImages

from modelyard.api import labels
from modelyard.api.access_keys import missing_keys
from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.contract.build_request import BuilderKind, ModelInput, Source
from modelyard.digest_lookup import RegistryDigestLookup
from modelyard.oci.media_types import OCI_INDEX
from modelyard.oci.reference import parse_reference
from modelyard.resources.pod_template import CONTAINER, ScoringImage, pod_template
from modelyard.scoring.contract import KEYS_DIR, PRIMARY_KEY
from modelyard.settings import OperatorSettings, RegistrySettings, ScoringSettings

PLATFORMS: Final = ("linux/amd64", "linux/arm64")
MACHINES: Final = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
DRIVER: Final = """
import markupsafe, platform
from markupsafe import _speedups
def init(): pass
def run(body): return {"machine": platform.machine(), "native": _speedups.__name__}
"""


def _crane(*arguments: str) -> bytes:
    done = subprocess.run([program("crane"), *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _push_base_index(images: RegistryImages, base: str) -> str:
    """Push an index of a base image and of the same files as an image for arm64, which cannot run."""
    source, target = parse_reference(base), images.repository("bases/python")
    manifest, _ = images.registry.manifest(source)
    config = json.loads(images.registry.blob_bytes(source, manifest["config"]["digest"]))
    for layer in manifest["layers"]:
        assert images.registry.mount_blob(target, layer["digest"], source.repository)
    entries = []
    for platform in PLATFORMS:
        architecture = platform.partition("/")[2]
        blob = images.registry.upload_bytes(
            target, json.dumps(config | {"architecture": architecture}).encode()
        )
        changed = manifest | {"config": manifest["config"] | {"digest": blob.digest, "size": blob.size}}
        body = json.dumps(changed).encode()
        digest = images.registry.put_manifest(target, body, manifest["mediaType"], tag=None)
        entry = {"mediaType": manifest["mediaType"], "digest": digest, "size": len(body)}
        entries.append(entry | {"platform": {"os": "linux", "architecture": architecture}})
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    images.registry.put_manifest(target, index, OCI_INDEX, tag="3.11")
    return f"{images.host}/{target.repository}:3.11"


def _wheel_tags(image: str, platform: str) -> set[str]:
    """Return the machines in the tags of all wheels in an image, as crane reads it."""
    manifest = json.loads(_crane("manifest", f"--platform={platform}", image))
    machines: set[str] = set()
    for layer in manifest["layers"][1:]:
        blob = _crane("blob", f"{image.partition('@')[0]}@{layer['digest']}")
        with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
            for entry in tar:
                if entry.name.endswith(".dist-info/WHEEL") and (file := tar.extractfile(entry)):
                    machines |= set(re.findall(r"(x86_64|aarch64)$", file.read().decode(), re.MULTILINE))
    return machines


async def test_image_for_two_platforms_is_an_index_whose_pod_serves(
    builds: Builds,
    images: RegistryImages,
    cosign: Callable[..., subprocess.CompletedProcess[str]],
    key_folder: Path,
    api: httpx.Client,
    kubectl: Callable[..., str],
    namespace: str,
) -> None:
    request = builds.request(
        ModelInput(name="m", version=1, source=Source(url="data:,weights")),
        driver=DRIVER,
        builder=BuilderKind.LAYERS,
        platforms=PLATFORMS,
        base_image=_push_base_index(images, builds.base),
        pip_requirements="markupsafe==3.0.2\n",
        repository=f"{builds.registry}/{images.prefix}/ns/image",
    )
    ran = builds.run(request, MODELYARD_SIGNING_KEY=str(key_folder))
    assert ran.code == 0, ran.log
    image = f"{request.repository}@{ran.result.digest}"

    assert _crane("digest", f"{request.repository}:{request.tag}").decode().strip() == ran.result.digest
    index = json.loads(_crane("manifest", image))
    assert [item["platform"]["architecture"] for item in index["manifests"]] == ["amd64", "arm64"]
    for platform in PLATFORMS:
        config = json.loads(_crane("config", f"--platform={platform}", image))
        assert f"{config['os']}/{config['architecture']}" == platform
        assert _wheel_tags(image, platform) == {MACHINES[platform]}
    for digest in (ran.result.digest, *(item["digest"] for item in index["manifests"])):
        signed = f"{request.repository}@{digest}"
        verified = cosign("verify", "--key", "cosign.pub", "--insecure-ignore-tlog", signed)
        assert verified.returncode == 0, verified.stderr

    lookup = RegistryDigestLookup(OperatorSettings(registry=RegistrySettings(push=builds.registry)))
    try:
        tagged = f"{request.repository}:{request.tag}"
        architectures = await lookup.architectures(tagged, str(ran.result.digest))
    finally:
        lookup.close()
    assert architectures == ("amd64", "arm64")
    _start_pod(api, namespace, ScoringImage(image, architectures))
    kubectl("wait", "--for=condition=Ready", "pod/m", f"--namespace={namespace}", "--timeout=120s")
    script = (
        "import urllib.request as u; from pathlib import Path;"
        f" key = Path('{KEYS_DIR}/{PRIMARY_KEY}').read_text();"
        " r = u.Request('http://127.0.0.1:5001/score', b'{}', {'Authorization': f'Bearer {key}'});"
        " print(u.urlopen(r).read().decode())"
    )
    scored = kubectl("exec", "m", f"--namespace={namespace}", "--", "python3", "-c", script)
    assert json.loads(scored)["native"] == "markupsafe._speedups"


def _start_pod(api: httpx.Client, namespace: str, image: ScoringImage) -> None:
    """Start a pod from the template of a Service."""
    spec = ServiceSpec.model_validate({"imageId": "m"})
    template: dict[str, Any] = pod_template(Owner("Service", "m", "uid"), spec, image, ScoringSettings())
    assert template["spec"]["affinity"]["nodeAffinity"]
    secret = {"metadata": {"name": labels.keys_name("m")}, "data": missing_keys({})}
    api.post(f"/api/v1/namespaces/{namespace}/secrets", json=secret).raise_for_status()
    pod = template | {"metadata": {"name": "m", "labels": template["metadata"]["labels"]}}
    (container,) = pod["spec"]["containers"]
    assert container["name"] == CONTAINER
    api.post(f"/api/v1/namespaces/{namespace}/pods", json=pod).raise_for_status()
