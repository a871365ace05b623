"""The CronJob of image garbage collection as the chart renders it; needs helm, but no cluster."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.chart.test_templates import of_kind, operator, resources, roles_of, settings
from tests.integration.chart.tools import Render

from modelyard.__main__ import main
from modelyard.image_gc.cluster_usage import SCANNED_RESOURCES

NAME = "modelyard-cleanup"
ENABLED = ("--set", "registry.cleanup.enabled=true")


def _pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (job,) = of_kind(objects, "CronJob")
    return dict(job["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def test_cleanup_is_off_by_default(render: Render) -> None:
    assert NAME not in {item["metadata"]["name"] for item in render()}


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ((), ["images", "list"]),
        (("--set", "registry.cleanup.delete=true"), ["images", "prune", "--delete", "--older-than=7d"]),
    ],
)
def test_cleanup_deletes_only_if_delete_is_set(
    render: Render, values: tuple[str, ...], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = _pod(render(*ENABLED, *values))["containers"]
    assert container["args"] == arguments
    monkeypatch.setenv("MODELYARD_CONFIG", "/nowhere")
    assert main(arguments) == 2  # the arguments are valid, but the configuration file is missing


def test_cleanup_has_resources_of_its_own(render: Render) -> None:
    limit = ("--set", "registry.cleanup.resources.limits.memory=1Gi", "--set", "resources.limits.memory=2Gi")
    (container,) = _pod(render(*ENABLED, *limit))["containers"]
    assert container["resources"]["limits"] == {"memory": "1Gi"}


def test_cleanup_may_list_scanned_resources_and_patch_its_config_map(render: Render) -> None:
    roles = roles_of(render(*ENABLED), NAME)
    (everywhere,) = of_kind(roles, "ClusterRole")
    assert {verb for rule in everywhere["rules"] for verb in rule["verbs"]} == {"list"}
    assert resources(everywhere, "list") == {resource.plural for resource in SCANNED_RESOURCES}
    (local,) = of_kind(roles, "Role")
    assert local["metadata"]["namespace"] == "modelyard-system"
    assert local["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
        {
            "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["modelyard-unused-images"],
            "verbs": ["get", "patch"],
        },
    ]  # fmt: skip


def test_keep_versions_counts_only_if_cleanup_deletes(render: Render) -> None:
    keep = ("--set", "registry.cleanup.keepVersions=3")
    assert settings(render(*ENABLED, *keep)).registry.keep_versions == 0
    assert (
        settings(render(*ENABLED, *keep, "--set", "registry.cleanup.delete=true")).registry.keep_versions == 3
    )


def test_watch_namespaces_bound_the_rights_of_cleanup(render: Render) -> None:
    roles = roles_of(render(*ENABLED, "--set", "watchNamespaces={team-a,team-b}"), NAME)
    assert not of_kind(roles, "ClusterRole")
    assert {role["metadata"]["namespace"] for role in roles} == {"team-a", "team-b", "modelyard-system"}


def test_cleanup_mounts_the_same_files_as_the_operator(render: Render) -> None:
    objects = render(*ENABLED, "--set", "registry.secretName=login", "--set", "caBundle.configMapName=ca")
    pod, other = _pod(objects), operator(objects)
    assert pod["volumes"] == other["volumes"]
    assert pod["containers"][0]["volumeMounts"] == other["containers"][0]["volumeMounts"]


def test_cleanup_satisfies_the_restricted_standard(render: Render) -> None:
    objects = render(*ENABLED)
    pod, other = _pod(objects), operator(objects)
    assert pod["securityContext"] == other["securityContext"]
    assert pod["containers"][0]["securityContext"] == other["containers"][0]["securityContext"]


def test_cleanup_pod_is_no_endpoint_of_a_service_of_the_release(render: Render) -> None:
    objects = render(*ENABLED)
    services = of_kind(objects, "Service")
    (job,) = of_kind(objects, "CronJob")
    labels = job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert services
    assert not [one for one in services if one["spec"]["selector"].items() <= labels.items()]
