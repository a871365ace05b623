"""Install, upgrade and uninstall on a real API server.

The chart under test is a copy with another API group, so that Modelyard's own CRDs and objects in the cluster
are not touched. Its operator never starts: the image does not exist.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.chart.tools import CHART, REQUIRED, CommandError, Render, Run, pods, settings

from modelyard.contract.build_request import BuilderKind
from modelyard.resources.build_pod import BuildAttempt, build_pod

KINDS = ("models", "manifests", "images", "services")


@dataclass(frozen=True)
class Release:
    """A copy of the chart, with its API group and the namespace of its release."""

    helm: Run
    kubectl: Run
    chart: Path
    group: str
    namespace: str

    def install(self, *arguments: str) -> None:
        where = ("--namespace", self.namespace, "--create-namespace")
        # One adapter of a cluster serves custom metrics, which is that of Modelyard's own release.
        values = (*REQUIRED, "--set", "scaling.metrics=external", *arguments)
        self.helm("upgrade", "--install", self.name, self.chart, *where, *values)

    def uninstall(self) -> None:
        self.helm("uninstall", self.name, "--namespace", self.namespace, "--wait", "--ignore-not-found")

    @property
    def name(self) -> str:
        return self.namespace

    def crds(self) -> dict[str, dict[str, Any]]:
        items = json.loads(self.kubectl("get", "crds", "--output", "json"))["items"]
        return {item["metadata"]["name"]: item for item in items if item["spec"]["group"] == self.group}

    def admit(self, name: str, spec: dict[str, Any]) -> None:
        """Create a pod with dryRun; raises CommandError if admission refuses the pod."""
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        create = ("create", "--dry-run=server", "--filename", "-", "--namespace", self.namespace)
        self.kubectl(*create, text=json.dumps(pod))

    def may(self, user: str, verb: str, resource: str, namespace: str) -> bool:
        """Return whether RBAC allows a user a verb on a resource or resource/subresource."""
        resource, _, subresource = resource.partition("/")
        asked = ("auth", "can-i", verb, resource, "--subresource", subresource, "--namespace", namespace)
        try:
            self.kubectl(*asked, "--as", user, "--quiet")
        except CommandError:
            return False
        return True


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"the condition was not met within {seconds:g} s"
        time.sleep(0.5)


@pytest.fixture
def release(helm: Run, kubectl: Run, tmp_path: Path) -> Iterator[Release]:
    unique = f"chart-{uuid.uuid4().hex[:8]}"
    group = f"{unique}.example.com"
    chart = tmp_path / "modelyard"
    shutil.copytree(CHART, chart)
    for file in (*chart.glob("templates/*.yaml"), *chart.glob("files/crds/*.yaml")):
        text = file.read_text(encoding="utf-8").replace("modelyard.dev", group)
        # The copy has its own short names and category: kubectl chooses either of two groups that share them.
        text = re.sub(r"^    - (mdl|mft|img|msvc|modelyard)$", r"    - \1-copy", text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
    release = Release(helm, kubectl, chart, group, unique)
    try:
        yield release
        release.uninstall()
    finally:
        kubectl("delete", "namespace", unique, "--ignore-not-found", "--wait=false")
        if names := list(release.crds()):
            # No wait: a CRD that is deleted right after its installation may take the API server 4 minutes.
            kubectl("delete", "crds", *names, "--wait=false")


def test_upgrade_updates_crds(release: Release) -> None:
    release.install()
    name = f"models.{release.group}"
    before = release.crds()
    file = release.chart / "files" / "crds" / "modelyard.dev_models.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("shortNames:\n    - mdl-copy\n") == 1
    file.write_text(text.replace("    - mdl-copy\n", "    - mdl-copy\n    - newer\n"), encoding="utf-8")
    release.install()
    assert set(before) == {f"{kind}.{release.group}" for kind in KINDS}
    assert before[name]["spec"]["names"]["shortNames"] == ["mdl-copy"]
    assert release.crds()[name]["spec"]["names"]["shortNames"] == ["mdl-copy", "newer"]


def test_uninstall_keeps_crds_and_a_new_install_takes_them_over(release: Release) -> None:
    release.install()
    release.uninstall()
    kept = {name: crd["metadata"]["uid"] for name, crd in release.crds().items()}
    assert len(kept) == len(KINDS)
    release.install()
    assert {name: crd["metadata"]["uid"] for name, crd in release.crds().items()} == kept


def test_uninstall_without_crds_keep_removes_crds(release: Release) -> None:
    release.install("--set", "crds.keep=false")
    release.uninstall()
    assert not release.crds()


def test_users_with_the_clusters_roles_have_rights_on_the_four_kinds(release: Release) -> None:
    release.install()
    users = {role: f"{role}-{release.namespace}" for role in ("view", "edit", "admin")}
    for role, user in users.items():
        binding = ("create", "rolebinding", user, "--clusterrole", role, "--user", user)
        release.kubectl(*binding, "--namespace", release.namespace)

    def who_may(verb: str, resource: str, namespace: str = release.namespace) -> set[str]:
        return {role for role, user in users.items() if release.may(user, verb, resource, namespace)}

    # A controller of Kubernetes aggregates the roles. It is done when the last rule has an effect.
    wait_until(lambda: who_may("deletecollection", f"services.{release.group}") == {"admin"})
    for resource in (f"{kind}.{release.group}" for kind in KINDS):
        assert who_may("list", resource) == {"view", "edit", "admin"}
        assert who_may("create", resource) == {"edit", "admin"}
        assert who_may("delete", resource) == {"edit", "admin"}
        assert who_may("patch", f"{resource}/status") == set()
        assert who_may("list", resource, namespace="default") == set()
    for verb in ("create", "patch"):  # versions are ControllerRevisions
        assert who_may(verb, "controllerrevisions.apps") == set()


def test_operator_has_only_the_documented_rights(release: Release) -> None:
    release.install()
    account = f"system:serviceaccount:{release.namespace}:{release.name}-modelyard"
    rights = {
        ("patch", f"services.{release.group}/status", "default"): True,
        ("patch", f"services.{release.group}", "default"): False,
        ("create", "secrets", "default"): True,
        ("delete", "secrets", "default"): False,
        ("create", "secrets", release.namespace): True,
        ("create", "jobs.batch", "default"): False,
        ("create", "jobs.batch", release.namespace): True,
        ("create", "pods", release.namespace): False,
        ("get", "pods/log", "default"): True,
        ("list", "events.events.k8s.io", release.namespace): True,
        ("list", "events.events.k8s.io", "default"): True,
        ("patch", "pods", "default"): True,
        ("delete", "pods", "default"): False,
        ("create", "pods/exec", "default"): False,
        ("create", "roles.rbac.authorization.k8s.io", "default"): False,
        ("patch", "customresourcedefinitions.apiextensions.k8s.io", "default"): False,
    }
    assert {asked: release.may(account, *asked) for asked in rights} == rights


def test_api_server_gives_the_operator_its_own_priority_level(release: Release, api: httpx.Client) -> None:
    release.install()
    account = f"system:serviceaccount:{release.namespace}:{release.name}-modelyard"
    groups = ["system:serviceaccounts", "system:authenticated"]
    headers = [("Impersonate-User", account), *(("Impersonate-Group", group) for group in groups)]

    def levels() -> tuple[str | None, ...]:
        answer = api.get("/apis/apps/v1/deployments", headers=headers, params={"limit": 1})
        answer.raise_for_status()
        names = ("X-Kubernetes-PF-FlowSchema-UID", "X-Kubernetes-PF-PriorityLevel-UID")
        return tuple(answer.headers.get(name) for name in names)

    name = f"{release.name}-modelyard-{release.namespace}"
    own = tuple(
        json.loads(release.kubectl("get", kind, name, "--output", "json"))["metadata"]["uid"]
        for kind in ("flowschema", "prioritylevelconfiguration")
    )
    # The API server reads changed FlowSchemas by a watch.
    wait_until(lambda: levels() == own)


def test_operator_has_rights_in_watch_namespaces_only(release: Release) -> None:
    release.kubectl("create", "namespace", release.namespace)
    release.install("--set", f"watchNamespaces={{{release.namespace}}}")
    account = f"system:serviceaccount:{release.namespace}:{release.name}-modelyard"
    resource = f"services.{release.group}"
    assert release.may(account, "watch", resource, release.namespace)
    assert not release.may(account, "watch", resource, "default")
    assert not release.may(account, "get", "secrets", "default")
    assert not release.may(account, "list", "customresourcedefinitions.apiextensions.k8s.io", "default")


@pytest.fixture
def restricted(release: Release) -> Release:
    """Return a release whose namespace enforces the Pod Security Standard `restricted`."""
    release.kubectl("create", "namespace", release.namespace)
    release.kubectl("label", "namespace", release.namespace, "pod-security.kubernetes.io/enforce=restricted")
    return release


def test_restricted_standard_admits_all_pods_of_a_release(restricted: Release, render: Render) -> None:
    parts = ("gateway.enabled=true", "gateway.tls.disabled=true", "scaling.zero.enabled=true")
    values = [item for part in parts for item in ("--set", part)]
    restricted.install(*values)
    objects = render(*values, release=restricted.name)
    specs = {name: pod["spec"] for name, pod in pods(objects).items()}
    specs["build"] = build_pod(_build(BuilderKind.LAYERS), settings(objects))
    assert len(specs) == 6  # operator, gateway, scaler, activator, helm test, build
    for name, spec in specs.items():
        restricted.admit(name, spec)


def test_restricted_standard_refuses_the_docker_builder(restricted: Release, render: Render) -> None:
    # Documented in docs/building.md; it also shows that the label of the namespace has an effect.
    restricted.install()
    objects = render(release=restricted.name)
    with pytest.raises(CommandError, match='violates PodSecurity "restricted'):
        restricted.admit("build", build_pod(_build(BuilderKind.DOCKER), settings(objects)))


def _build(builder: BuilderKind) -> BuildAttempt:
    return BuildAttempt("build-1", "default/m", 1, 1, "r.example/m:t", builder)
