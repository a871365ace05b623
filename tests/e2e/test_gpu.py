"""Services with GPUs: an image with CUDA, and the devices of a device plugin of the kubelet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from tests.support.cluster import Kubectl, eventually, port_forward
from tests.support.gpus import (
    CUDA_FILE,
    CUDA_FILE_TEXT,
    CUDA_VARIABLES,
    DEVICES,
    RESOURCE,
    DevicePlugin,
    push_cuda_image,
)
from tests.support.objects import image, manifest, service
from tests.support.operator import build_jobs
from tests.support.status import condition, status, wait_for_status

NAME: Final = "vision"
DRIVER: Final = f"""
import os
import pathlib


def init():
    pass


def run(body):
    return {{
        "variables": dict(os.environ),
        "file": pathlib.Path({CUDA_FILE!r}).read_text(),
        "devices": [path.name for path in pathlib.Path("/dev").glob("nvidia*") if path.is_char_device()],
    }}
"""
ONE_GPU: Final = {"resources": {"limits": {RESOURCE: 1}}}


@pytest.fixture(scope="module")
def plugin(shared: Kubectl) -> Iterator[DevicePlugin]:
    """Two devices of one node, after the build of an image with CUDA on nodes that have none."""
    plugin = DevicePlugin(shared)
    push_cuda_image()
    shared.apply(manifest(NAME, DRIVER, installCuda="true"), image(NAME))
    wait_for_status(shared, "img", NAME, 180, state="Succeeded")
    assert plugin.healthy() == 0
    try:
        plugin.start()
        yield plugin
    finally:
        plugin.stop()


@pytest.fixture(scope="module")
def replicas(shared: Kubectl, plugin: DevicePlugin) -> None:
    """Two replicas, each with one of the two devices."""
    shared.apply(service(NAME, NAME, numReplicas=2, pod=ONE_GPU))
    wait_for_status(shared, "msvc", NAME, 120, state="Succeeded", readyReplicas=2)


def answers(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Return the response of each replica."""
    headers = {"Authorization": f"Bearer {kubectl.secret(f'{NAME}-keys')['primaryKey']}"}
    found = []
    for pod in kubectl.ready_pods(f"modelyard.dev/service={NAME}"):
        with port_forward(kubectl.namespace, f"pod/{pod['metadata']['name']}", 5001) as url:
            found.append(httpx.post(f"{url}/score", content="{}", headers=headers, timeout=30).json())
    return found


def message(kubectl: Kubectl, type_: str, reason: str) -> str:
    """Return the message of a condition of the Service if it has the reason, else an empty text."""
    found = condition(status(kubectl, "msvc", NAME), type_)
    return str(found["message"]) if found.get("reason") == reason else ""


def test_replicas_run_from_the_image_with_cuda_and_have_one_device_each(
    shared: Kubectl, replicas: None
) -> None:
    (job,) = build_jobs(shared.namespace, NAME)
    assert RESOURCE not in json.dumps(job)
    found = answers(shared)
    by_device = {answer["variables"]["NVIDIA_VISIBLE_DEVICES"]: answer["devices"] for answer in found}
    assert by_device == {device: [f"nvidia{number}"] for number, device in enumerate(DEVICES)}
    inherited = {name: value for name, value in CUDA_VARIABLES.items() if name != "NVIDIA_VISIBLE_DEVICES"}
    for answer in found:
        assert inherited.items() <= answer["variables"].items()
        assert answer["file"] == CUDA_FILE_TEXT


def test_third_replica_waits_for_a_device(shared: Kubectl, replicas: None) -> None:
    shared.patch("msvc", NAME, {"spec": {"numReplicas": 3}})
    text = eventually(lambda: message(shared, "Ready", "Unschedulable"), 60, "the reason Unschedulable")
    assert f"Insufficient {RESOURCE}" in text
    assert status(shared, "msvc", NAME)["readyReplicas"] == 2
    shared.patch("msvc", NAME, {"spec": {"numReplicas": 2}})
    wait_for_status(shared, "msvc", NAME, 60, state="Succeeded", readyReplicas=2)


def test_unhealthy_device_is_reported_and_assigned_no_more(
    shared: Kubectl, plugin: DevicePlugin, replicas: None
) -> None:
    plugin.set_health(DEVICES[0], healthy=False)
    text = eventually(lambda: message(shared, "DeviceUnhealthy", "Unhealthy"), 60, "the unhealthy device")
    assert f"device {DEVICES[0]} of {RESOURCE} in pod {NAME}-" in text
    plugin.wait_for_healthy(1)
    assert status(shared, "msvc", NAME)["readyReplicas"] == 2


def test_node_without_the_plugin_has_neither_device_nor_socket(
    shared: Kubectl, plugin: DevicePlugin, replicas: None
) -> None:
    shared("delete", "msvc", NAME)
    plugin.stop()
    assert (plugin.healthy(), plugin.sockets()) == (0, [])
