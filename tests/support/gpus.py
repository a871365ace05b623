"""GPUs without hardware: a base image as NVIDIA's, and a device plugin of the kubelet."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.support.base_layer import layer_of
from tests.support.cluster import Json, Kubectl, eventually

from modelyard.builder.environment.target import local_platform
from modelyard.builder.layers.base_image import BaseImage, read_base_image
from modelyard.oci import RegistryClient
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess

RESOURCE: Final = "nvidia.com/gpu"
DEVICES: Final = ("gpu-0", "gpu-1")
CUDA_IMAGE: Final = "modelyard-tests/cuda:3.11"
"""In the registry of the cluster; `make test-e2e` names it in `build.cudaImages`."""
CUDA_VARIABLES: Final = {
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.4 brand=tesla,driver>=470,driver<471",
    "CUDA_VERSION": "12.4.1",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
}
"""Variables of nvidia/cuda:12.4.1-runtime-ubuntu22.04, with the first of many drivers."""
CUDA_FILE: Final = "/usr/local/cuda/version.json"
CUDA_FILE_TEXT: Final = '{"cuda": {"version": "12.4.1"}}'

_ENTRY_POINT: Final = "/opt/nvidia/nvidia_entrypoint.sh"
_PLUGIN: Final = Path(__file__).parents[1] / "cluster" / "device-plugin"
_PLUGIN_IMAGE: Final = "modelyard-tests/device-plugin:1"
_PLUGINS_FOLDER: Final = "/var/lib/kubelet/device-plugins"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"


def push_cuda_image() -> None:
    """Push a base image with Python whose settings and files are those of an image with CUDA."""
    # An image that kept this entry point would not start: those of NVIDIA write a banner into each log.
    files = {CUDA_FILE: CUDA_FILE_TEXT, _ENTRY_POINT: "#!/bin/sh\nexit 9\n"}
    layer = layer_of({path.lstrip("/"): text.encode() for path, text in files.items()})
    variables = [f"{name}={value}" for name, value in CUDA_VARIABLES.items()]
    _push(CUDA_IMAGE, layer, Env=variables, Entrypoint=[_ENTRY_POINT])


def _push(image: str, layer: bytes, *, Env: list[str], **settings: Any) -> None:
    """Push an image of the cluster's base image with Python and one more layer."""
    path, _, tag = image.partition(":")
    target = Reference(os.environ["REGISTRY_PUSH"], path)
    with RegistryClient(RegistryAccess()) as registry:
        base = read_base_image(registry, os.environ["PYTHON_BASE_IMAGE"], local_platform())
        _copy_layers(registry, base, target)
        blob = registry.upload_bytes(target, layer)
        inherited = base.config.get("config") or {}
        config = base.config | {
            "config": inherited | settings | {"Env": [*inherited.get("Env", ()), *Env]},
            "rootfs": {"type": "layers", "diff_ids": [*base.config["rootfs"]["diff_ids"], blob.digest]},
            "history": [],
        }
        stored = registry.upload_bytes(target, json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": _CONFIG_TYPE, "digest": stored.digest, "size": stored.size},
            "layers": [*base.layers, {"mediaType": _LAYER_TYPE, "digest": blob.digest, "size": blob.size}],
        }
        registry.put_manifest(target, json.dumps(manifest).encode(), OCI_MANIFEST, tag=tag)


def _copy_layers(registry: RegistryClient, base: BaseImage, target: Reference) -> None:
    for layer in base.layers:
        digest = layer["digest"]
        if registry.has_blob(target, digest):
            continue
        is_near = base.reference.registry == target.registry
        if not (is_near and registry.mount_blob(target, digest, base.reference.repository)):
            registry.copy_blob(base.reference, target, digest, layer["size"])


class DevicePlugin:
    """A device plugin on one node, which offers DEVICES."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._node: str = kubectl.list("nodes")[0]["metadata"]["name"]

    def start(self) -> None:
        """Start the plugin, and wait until the scheduler may assign its devices."""
        _push(_PLUGIN_IMAGE, _program_layer(), Env=[])
        self._kubectl.apply(self._pod("device-plugin", "python3", "/plugin/plugin.py", RESOURCE, *DEVICES))
        self.wait_for_healthy(len(DEVICES))

    def stop(self) -> None:
        """Remove the plugin, and wait until its node has no device.

        The kubelet counts devices without a plugin in `capacity` for 5 minutes, in case that the plugin
        restarts, and then reports 0.
        """
        self._kubectl("delete", "pod", "device-plugin", "--ignore-not-found")
        self.wait_for_healthy(0)

    def set_health(self, device: str, *, healthy: bool) -> None:
        """Let the plugin report a device as healthy or not."""
        command = ["rm", "-f"] if healthy else ["touch"]
        self._kubectl("exec", "device-plugin", "--", *command, f"/tmp/{device}")

    def wait_for_healthy(self, number: int) -> None:
        """Wait until the node reports this number of healthy devices, which a kubelet does every 10 s."""
        eventually(lambda: self.healthy() == number, 90, f"{number} healthy devices", every=0.2)

    def healthy(self) -> int:
        """Return the number of devices that the scheduler may assign."""
        return int(self._kubectl.get("node", self._node)["status"]["allocatable"].get(RESOURCE, 0))

    def sockets(self) -> list[str]:
        """Return the sockets of plugins on the node."""
        pod = self._pod("sockets", "ls", _PLUGINS_FOLDER)
        self._kubectl.apply(pod)
        self._kubectl(
            "wait", "pod/sockets", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s", timeout=100
        )
        names = self._kubectl("logs", "sockets").split()
        return [name for name in names if name.endswith(".sock") and name != "kubelet.sock"]

    def _pod(self, name: str, *command: str) -> Json:
        """Return a pod of root that runs a command beside the sockets of the node."""
        container = {
            "name": "plugin",
            "image": f"{os.environ['REGISTRY_PUSH']}/{_PLUGIN_IMAGE}",
            "imagePullPolicy": "Always",
            "command": command,
            "volumeMounts": [{"name": "plugins", "mountPath": _PLUGINS_FOLDER}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "nodeName": self._node,
                "containers": [container],
                "volumes": [{"name": "plugins", "hostPath": {"path": _PLUGINS_FOLDER, "type": "Directory"}}],
                "tolerations": [{"operator": "Exists"}],
                "restartPolicy": "OnFailure",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 5,
            },
        }


def _program_layer() -> bytes:
    """Return a layer with the plugin and its packages in /plugin."""
    uv, requirements = Path(sys.executable).with_name("uv"), _PLUGIN / "requirements.txt"
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=out, mode="w") as archive:
        command = [uv, "pip", "install", "--quiet", "--target", folder, "--python-version", "3.11"]
        subprocess.run(
            [*command, "--only-binary", ":all:", "--require-hashes", "--requirement", requirements],
            check=True,
            timeout=120,
        )
        archive.add(folder, "plugin")
        archive.add(_PLUGIN / "plugin.py", "plugin/plugin.py")
    return out.getvalue()
