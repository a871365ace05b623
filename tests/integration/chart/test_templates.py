"""The rendered templates of the chart; needs helm, but no cluster."""

from __future__ import annotations

import importlib.util
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.integration.chart.tools import (
    CHART,
    REQUIRED,
    ROOT,
    CommandError,
    Render,
    Run,
    named,
    of_kind,
    pods,
    settings,
)

from modelyard.settings import OperatorSettings

WRITES = {"create", "update", "patch", "delete", "deletecollection"}
KINDS = {"models", "manifests", "images", "services"}


def resources(role: dict[str, Any], *verbs: str) -> set[str]:
    """Return the resources on which a role allows any of the verbs."""
    return {name for rule in role["rules"] if set(verbs) & set(rule["verbs"]) for name in rule["resources"]}


def flat(settings: OperatorSettings) -> dict[str, Any]:
    """Return the settings by `section.name`."""
    return {
        f"{section}.{name}" if name else section: setting
        for section, value in settings.model_dump().items()
        for name, setting in (value.items() if isinstance(value, dict) else [("", value)])
    }


def operator(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(pods(objects)["modelyard"]["spec"])


def roles_of(objects: list[dict[str, Any]], account: str) -> list[dict[str, Any]]:
    """Return the Roles and ClusterRoles that are bound to a ServiceAccount."""
    bound = {
        (binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        if any(subject["name"] == account for subject in binding["subjects"])
    }
    roles = of_kind(objects, "Role", "ClusterRole")
    return [role for role in roles if (role["kind"], role["metadata"]["name"]) in bound]


def test_helm_lint_finds_no_problem(helm: Run) -> None:
    output = helm("lint", CHART, "--strict", *REQUIRED)
    assert "[WARNING]" not in output
    assert "[ERROR]" not in output


# Each rule of values.schema.json must reject a value. The last column is a part of the message.
BAD_VALUES = [
    ("logLevel", '"LOUD"', "/logLevel"),
    ("logFormat", '"xml"', "/logFormat"),
    ("workers", "0", "/workers"),
    ("workers", '"many"', "/workers"),
    ("resyncSeconds", "0", "/resyncSeconds"),
    ("history.limit", "-1", "/history/limit"),
    ("registry.push", '"http://registry.example.com"', "/registry/push"),
    ("registry.push", '"registry.example.com/team"', "/registry/push"),
    ("registry.insecure", '"yes"', "/registry/insecure"),
    ("registry.repository", '"Models"', "/registry/repository"),
    ("registry.password", '"secret"', "'password'"),
    ("registry.cleanup.schedule", '"daily"', "/registry/cleanup/schedule"),
    ("registry.cleanup.keepVersions", "-1", "/registry/cleanup/keepVersions"),
    ("registry.cleanup.olderThan", '"1w"', "/registry/cleanup/olderThan"),
    ("image.pullPolicy", '"Sometimes"', "/image/pullPolicy"),
    ("image.digest", '"sha256:12"', "/image/digest"),
    ("image.tag", '"a b"', "/image/tag"),
    ("imagePullSecrets", '["registry"]', "/imagePullSecrets/0"),
    ("watchNamespaces", '["Team_A"]', "/watchNamespaces/0"),
    ("watchNamespaces", '["a", "a"]', "/watchNamespaces"),
    ("build.baseImages", '{"python3.11": "python:3.11"}', "/build/baseImages"),
    ("build.builder", '"kaniko"', "/build/builder"),
    ("build.sources.claims", '{"Models": ["*"]}', "/build/sources/claims"),
    ("build.sources.claims", '{"models": []}', "/build/sources/claims/models"),
    ("build.sources.claims", '{"models": ["team-*"]}', "/build/sources/claims/models/0"),
    ("build.sources.requireSecretLabel", '"no"', "/build/sources/requireSecretLabel"),
    ("build.sources.repositories", '{"registry.example.com": ["*"]}', "/build/sources/repositories"),
    ("build.sources.repositories", '{"r.example.com/m": []}', "/build/sources/repositories/r.example.com~1m"),
    ("build.identity.enabled", '"yes"', "/build/identity/enabled"),
    ("build.identity.aws.stsUrl", '"sts"', "/build/identity/aws/stsUrl"),
    ("build.identity.aws.region", '"x.evil.example.com/"', "/build/identity/aws/region"),
    ("build.docker.enabled", '"yes"', "/build/docker/enabled"),
    ("build.docker.nodeSelector", '{"engine": true}', "/build/docker/nodeSelector/engine"),
    ("build.extraEnv", '[{"value": "a"}]', "/build/extraEnv/0"),
    ("build.podLabels", '{"a": 1}', "/build/podLabels/a"),
    ("build.docker.socket", '"docker.sock"', "/build/docker/socket"),
    ("build.resources.requests.cpu", '"lots"', "/build/resources/requests/cpu"),
    ("build.attestations.enabled", '"no"', "/build/attestations/enabled"),
    ("build.signing.secretName", '"A key"', "/build/signing/secretName"),
    ("build.workspaceSize", '"20 GB"', "/build/workspaceSize"),
    ("build.deadlineSeconds", "0", "/build/deadlineSeconds"),
    ("build.ttlSecondsAfterFinished", "0", "/build/ttlSecondsAfterFinished"),
    ("registry.verifySeconds", "-1", "/registry/verifySeconds"),
    ("build.concurrent", "0", "/build/concurrent"),
    ("build.concurrentPerNamespace", "-1", "/build/concurrentPerNamespace"),
    ("build.attempts", "0", "/build/attempts"),
    ("scoring.progressDeadlineSeconds", "1", "/scoring/progressDeadlineSeconds"),
    ("scoring.preStopSeconds", "-1", "/scoring/preStopSeconds"),
    ("scoring.runAsUser", "0", "/scoring/runAsUser"),
    ("scoring.scoringTimeoutMs", "0", "/scoring/scoringTimeoutMs"),
    ("scoring.tmpSize", '"10 GB"', "/scoring/tmpSize"),
    ("scoring.workers", "0", "/scoring/workers"),
    ("scoring.memoryLimitFactor", "0.5", "/scoring/memoryLimitFactor"),
    ("scoring.ephemeralStorageRequest", '"lots"', "/scoring/ephemeralStorageRequest"),
    ("build.cudaVersion", '"new"', "/build/cudaVersion"),
    ("build.platforms", '["linux/s390x"]', "/build/platforms/0"),
    ("build.platforms", '["linux/arm64", "linux/arm64"]', "/build/platforms"),
    ("dataCollection.storage.url", '"http://store"', "/dataCollection/storage/url"),
    ("dataCollection.storage.format", '"csv"', "/dataCollection/storage/format"),
    ("dataCollection.eventHub.bootstrapServers", '"broker"', "/dataCollection/eventHub/bootstrapServers"),
    ("dataCollection.spoolBytes", "1", "/dataCollection/spoolBytes"),
    ("scoring.appInsights.secretName", '"A key"', "/scoring/appInsights/secretName"),
    ("scoring.appInsights.secretKey", '"a/b"', "/scoring/appInsights/secretKey"),
    ("routing.kind", '"GRPCRoute"', "/routing/kind"),
    ("routing.host", '"Models.example.com"', "/routing/host"),
    ("routing.host", '"{name}.example.com"', "/routing/host"),
    ("routing.path", '"{service}"', "/routing/path"),
    ("routing.hosts", '{"a.*.com": ["*"]}', "/routing/hosts"),
    ("routing.port", "70000", "/routing/port"),
    ("routing.requestTimeout", '"1 hour"', "/routing/requestTimeout"),
    ("routing.ingress.annotations", '{"a": 1}', "/routing/ingress/annotations/a"),
    ("routing.ingress.tls.secretName", '"{name}"', "/routing/ingress/tls/secretName"),
    ("monitoring.monitors.interval", '"often"', "/monitoring/monitors/interval"),
    ("crds.keep", '"yes"', "/crds/keep"),
    ("resources.request", '{"cpu": "1"}', "'request'"),
    ("extraEnv", '[{"value": "a"}]', "/extraEnv/0"),
    ("replicas", "2", "'replicas'"),
]


@pytest.mark.parametrize(("path", "value", "named"), BAD_VALUES)
def test_invalid_value_is_rejected_with_its_path(render: Render, path: str, value: str, named: str) -> None:
    with pytest.raises(CommandError) as refused:
        render("--set-json", f"{path}={value}")
    assert named in str(refused.value)


@pytest.mark.parametrize("path", ["image.repository", "registry.push"])
def test_missing_required_value_is_named(render: Render, path: str) -> None:
    with pytest.raises(CommandError, match=path):
        render("--set", f"{path}=")


def test_default_python_version_needs_a_base_image(render: Render) -> None:
    with pytest.raises(CommandError, match=r"build\.defaultPythonVersion"):
        render("--set-string", "build.defaultPythonVersion=3.13")


def test_default_values_equal_the_defaults_of_the_settings(render: Render) -> None:
    rendered = settings(render()).model_dump()
    rendered["registry"]["push"] = OperatorSettings().registry.push
    rendered["build"]["image"] = OperatorSettings().build.image
    rendered["data_collection"]["image"] = OperatorSettings().data_collection.image
    assert rendered == OperatorSettings().model_dump()


def test_chart_refuses_a_kubernetes_version_without_pre_stop_sleep(render: Render) -> None:
    render("--kube-version", "1.30.0")
    with pytest.raises(CommandError, match="kubeVersion"):
        render("--kube-version", "1.29.9")


def test_every_setting_can_be_changed(render: Render, tmp_path: Path) -> None:
    values = {
        "fullnameOverride": "yard",
        "image": {"repository": "yard", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}],
        "watchNamespaces": ["team-a", "team-b"],
        "dataCollection": {
            "secretName": "records", "batchSeconds": 7, "batchBytes": 2097152, "spoolBytes": 9000000,
            "storage": {"url": "s3://records", "format": "jsonLines"},
            "eventHub": {"bootstrapServers": "broker:9093", "topic": "scored"},
            "flushSeconds": 8, "pollSeconds": 9, "resources": {"requests": {"cpu": "20m"}},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        },
        "registry": {
            "push": "localhost:5001", "pull": "127.0.0.1:5001", "internal": "registry:5000", "insecure": True,
            "repository": "team/models", "secretName": "registry", "verifySeconds": 67,
            "cleanup": {"enabled": True, "delete": True, "keepVersions": 3},
        },
        "caBundle": {"configMapName": "ca"},
        "build": {
            "baseImages": {"3.11": None, "3.12": None, "3.13": "python:3.13"},
            "defaultPythonVersion": "3.13",
            "sparkImages": {"3.12": None, "3.13": "spark:3.13"}, "cudaImages": {"3.13": "cuda:3.13"},
            "cudaVersion": "12.4",
            "builder": "docker",
            "docker": {
                "enabled": True, "socket": "/run/docker.sock", "network": "host", "shareCredentials": True,
                "nodeSelector": {"engine": "docker"},
            },
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy"}], "podLabels": {"team": "ml"},
            "pip": {"secretName": "pip"},
            "conda": {
                "channels": ["team"], "mirrors": {"team": "https://mirror.example.com/team"},
                "virtualPackages": {"__glibc": "2.36"}, "secretName": "conda",
            },
            "sources": {
                "schemes": ["https"], "deniedNetworks": ["10.0.0.0/8"], "allowedNetworks": ["10.1.0.0/16"],
                "claims": {"models": ["team-a"], "shared": ["*"]}, "requireSecretLabel": False,
                "repositories": {"registry.example.com/models": ["team-a"]},
            },
            "identity": {
                "enabled": True,
                "aws": {
                    "audience": "sts.example.com", "stsUrl": "https://sts.example.com", "region": "eu-1",
                    "endpoint": "https://s3.example.com",
                },
                "azure": {
                    "audience": "api://x", "authority": "https://login.example.com",
                    "endpoint": "https://blob.example.com",
                },
                "google": {
                    "audience": "//iam.googleapis.com/p", "tokenAudience": "x", "stsUrl": "https://a.example.com",
                    "credentialsUrl": "https://b.example.com", "endpoint": "https://c.example.com",
                },
            },
            "resources": {"requests": {"cpu": 2, "memory": "1Gi"}},
            "nodeSelector": {"pool": "builds"}, "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "builds",
            "signing": {"secretName": "cosign"}, "environment": {"maxAge": "36h"},
            "workspaceSize": "1Gi", "deadlineSeconds": 60, "ttlSecondsAfterFinished": 61,
            "attempts": 2, "retrySeconds": 3, "concurrent": 5, "concurrentPerNamespace": 2,
        },
        "scoring": {
            "clusterDomain": "example.internal", "imagePullSecrets": ["pull"], "progressDeadlineSeconds": 62,
            "preStopSeconds": 0, "rollOnUpgrade": True, "concurrentRolls": 4,
            "otlpEndpoint": "http://collector:4318", "drainSeconds": 63, "runAsUser": 64,
            "scoringTimeoutMs": 65, "workers": 2, "tmpSize": "3Gi", "limits": {"memory": "4Gi"},
            "memoryLimitFactor": 1.5, "ephemeralStorageRequest": "1Gi",
            "nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "gpu"}],
            "topologySpreadConstraints": [{"maxSkew": 1}], "priorityClassName": "serving",
            "runtimeClassName": "nvidia",
            "pod": {
                "required": {"labels": {"cost": "ml"}}, "deniedFields": ["volumes.persistentVolumeClaim"],
                "priorityClassNames": ["serving"], "runtimeClassNames": ["*"], "serviceAccountNames": [],
            },
            "appInsights": {"secretName": "azure", "secretKey": "key"},
        },
        "routing": {
            "kind": "HTTPRoute", "enabled": False,
            "host": "models.example.com", "path": "/{namespace}/{service}",
            "hosts": {"*.example.com": ["team-a"]}, "scheme": "https", "port": 8443, "requestTimeout": "1h",
            "gateway": {"name": "public", "namespace": "infra", "sectionName": "https"},
            "ingress": {
                "className": "nginx", "annotations": {"a": "b"},
                "tls": {"enabled": False, "secretName": "{service}-tls"},
            },
        },
        "scaling": {"metrics": "none", "zero": {"enabled": False, "wakeSeconds": 90}},
        "history": {"limit": 7}, "workers": 4, "resyncSeconds": 65, "logLevel": "DEBUG", "logFormat": "text",
    }  # fmt: skip
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    default, changed = flat(OperatorSettings()), flat(settings(render("--values", str(file))))
    same = {name for name, value in default.items() if changed[name] == value}
    # Not values: the release's namespace and the ports in the pod. Signatures require attestations, and the
    # Docker builder makes images for one platform.
    assert same == {"namespace", "metrics_port", "liveness_port", "build.attestations", "build.platforms"}


def test_platforms_of_images_are_settings_of_the_layers_builder_only(render: Render) -> None:
    platforms = ("--set", "build.platforms={linux/arm64,linux/amd64}")
    assert settings(render(*platforms)).build.platforms == ("linux/arm64", "linux/amd64")
    with pytest.raises(CommandError, match=r"build\.platforms: build\.builder must be layers"):
        render(*platforms, "--set", "build.builder=docker")


ROUTING: Final = {
    "kind": "HTTPRoute",
    "host": "{service}.example.com",
    "gateway": {"name": "public", "namespace": "infra"},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "models.example.com"}, "must contain {service}"),
        ({"host": "", "path": "/{service}"}, "routing.host"),
        ({"gateway": {"name": "public", "namespace": ""}}, "routing.gateway"),
        ({"kind": "Ingress", "path": "/{service}"}, "routing.path"),
    ],
)
def test_routing_values_that_do_not_fit_together_are_rejected(
    render: Render, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        render("--set-json", f"routing={json.dumps(ROUTING | changes)}")


def test_operator_has_rights_on_routes_only_with_routing(render: Render) -> None:
    without = render()
    routed = render("--set-json", f"routing={json.dumps(ROUTING)}")
    ingress = render("--set-json", f"routing={json.dumps(ROUTING | {'kind': 'Ingress'})}")
    added = {"httproutes", "gateways", "ingresses"}
    found = [
        {name for role in roles_of(objects, "modelyard") for name in resources(role, "list")} & added
        for objects in (without, routed, ingress)
    ]
    assert found == [set(), {"httproutes", "gateways"}, {"ingresses"}]
    reader = next(role for role in roles_of(routed, "modelyard") if "gateways" in resources(role, "list"))
    assert reader["metadata"]["namespace"] == "infra"
    assert reader["rules"][0]["resourceNames"] == ["public"]
    assert resources(reader, *WRITES) == set()


def test_data_plane_reaches_the_pods_of_services_beside_other_clients(render: Render) -> None:
    clients, data_plane = {"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    scoring = {"namespaces": ["team-a"], "dataPlane": [data_plane]}
    peers = []
    for allowed in ([], [clients]):
        values = json.dumps(scoring | {"from": allowed})
        objects = render("--set-json", f"networkPolicy.scoring={values}")
        policy = named(objects, "NetworkPolicy", "modelyard-scoring")
        peers.append(policy["spec"]["ingress"][0].get("from"))
    assert peers == [None, [clients, data_plane]]


@pytest.mark.parametrize(("age", "seconds"), [("0", 0), ("90s", 90), ("30m", 1800), ("7d", 604_800)])
def test_age_of_environments_has_a_unit(render: Render, age: str, seconds: int) -> None:
    rendered = settings(render("--set-string", f"build.environment.maxAge={age}"))
    assert rendered.build.environment_max_age_seconds == seconds


def test_signing_without_attestations_is_rejected(render: Render) -> None:
    off = ("--set", "build.attestations.enabled=false")
    assert not settings(render(*off)).build.attestations
    with pytest.raises(CommandError, match=r"build\.attestations\.enabled must be true"):
        render(*off, "--set", "build.signing.secretName=cosign")


def test_operator_has_the_public_key_of_signatures_only(render: Render) -> None:
    objects = render("--set", "build.signing.secretName=cosign")
    assert settings(objects).registry.public_keys_path == "/etc/modelyard/signing/cosign.pub"
    pod = pods(objects)["modelyard"]["spec"]
    (volume,) = (item for item in pod["volumes"] if item["name"] == "signing")
    assert volume["secret"] == {
        "secretName": "cosign", "optional": True, "items": [{"key": "cosign.pub", "path": "cosign.pub"}],
    }  # fmt: skip
    mounts = {item["name"]: item["mountPath"] for item in pod["containers"][0]["volumeMounts"]}
    assert mounts["signing"] == "/etc/modelyard/signing"


def test_large_number_is_rendered_as_an_integer(render: Render) -> None:
    # Helm prints a float as 1e+06.
    assert settings(render("--set", "build.deadlineSeconds=1000000")).build.deadline_seconds == 1_000_000


def test_no_rule_has_a_wildcard(render: Render) -> None:
    for role in of_kind(render(), "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert not [word for words in rule.values() for word in words if "*" in word]


def test_tokens_of_service_accounts_are_a_right_on_request_only(render: Render) -> None:
    name = {"serviceaccounts/token"}
    granted = [
        name <= resources(role, "create")
        for options in ((), ("--set", "build.identity.enabled=true"))
        for role in of_kind(roles_of(render(*options), "modelyard"), "ClusterRole")
    ]
    assert granted == [False, True]


def test_watch_namespaces_leave_no_cluster_wide_right(render: Render) -> None:
    objects = render("--set", "watchNamespaces={team-a,team-b}")
    # Only the APIService of the scaler, and its readers, cannot be limited to namespaces.
    cluster_wide = {item["metadata"]["name"] for item in of_kind(objects, "ClusterRoleBinding")}
    assert cluster_wide == {"modelyard-scaler-api", "modelyard-scaler-readers"}
    external = render("--set", "watchNamespaces={team-a}", "--set", "scaling.metrics=external")
    assert not of_kind(external, "ClusterRoleBinding")
    roles = roles_of(objects, "modelyard")
    assert {(role["kind"], role["metadata"]["namespace"]) for role in roles} == {
        ("Role", "team-a"), ("Role", "team-b"), ("Role", "modelyard-system"),
    }  # fmt: skip
    (everywhere,) = of_kind(roles_of(render(), "modelyard"), "ClusterRole")
    assert all(
        role["rules"] == everywhere["rules"]
        for role in roles
        if role["metadata"]["namespace"] != "modelyard-system"
    )


def test_flow_schema_selects_only_the_operator(render: Render) -> None:
    objects = render()
    (schema,) = of_kind(objects, "FlowSchema")
    (level,) = of_kind(objects, "PriorityLevelConfiguration")
    assert schema["spec"]["priorityLevelConfiguration"]["name"] == level["metadata"]["name"]
    (rule,) = schema["spec"]["rules"]
    (subject,) = rule["subjects"]
    account = {"name": operator(objects)["serviceAccountName"], "namespace": "modelyard-system"}
    assert subject == {"kind": "ServiceAccount", "serviceAccount": account}


def test_concurrency_of_the_operator_is_a_value(render: Render) -> None:
    (level,) = of_kind(render("--set", "flowControl.concurrencyShares=40"), "PriorityLevelConfiguration")
    assert level["spec"]["limited"]["nominalConcurrencyShares"] == 40
    off = render("--set", "flowControl.enabled=false")
    assert not of_kind(off, "FlowSchema", "PriorityLevelConfiguration")


def test_operator_may_delete_only_versions_logs_autoscalers_and_disruption_budgets(render: Render) -> None:
    (role,) = of_kind(roles_of(render(), "modelyard"), "ClusterRole")
    assert resources(role, "delete") == {
        "configmaps", "controllerrevisions", "horizontalpodautoscalers", "poddisruptionbudgets",
    }  # fmt: skip


def test_only_the_operator_writes_status(render: Render) -> None:
    for role in of_kind(render(), "Role", "ClusterRole"):
        if role["metadata"]["name"] != "modelyard":
            assert not [name for name in resources(role, *WRITES) if name.endswith("/status")]


def test_builder_has_no_rights_and_no_token(render: Render) -> None:
    objects = render()
    assert named(objects, "ServiceAccount", "modelyard-builder")["automountServiceAccountToken"] is False
    assert not roles_of(objects, "modelyard-builder")


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_user_role_aggregates_to_the_clusters_role(render: Render, role: str) -> None:
    found = named(render(), "ClusterRole", f"modelyard-{role}")
    assert found["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
    assert resources(found, "get") == KINDS
    assert resources(found, *WRITES) == (set() if role == "view" else KINDS)


def test_aggregated_roles_can_be_disabled(render: Render) -> None:
    roles = of_kind(render("--set", "rbac.aggregateRoles=false"), "ClusterRole")
    assert "modelyard" in {role["metadata"]["name"] for role in roles}
    labels = [label for role in roles for label in role["metadata"]["labels"]]
    assert not [label for label in labels if label.startswith("rbac.authorization.k8s.io/aggregate-to-")]


def test_rendered_crds_equal_the_generated_crds(render: Render) -> None:
    generated = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "crds").iterdir()}
    copies = {file.name: file.read_text(encoding="utf-8") for file in (CHART / "files" / "crds").iterdir()}
    assert copies == generated
    specs = [crd["spec"] for crd in map(yaml.safe_load, generated.values())]
    rendered = [crd["spec"] for crd in of_kind(render(), "CustomResourceDefinition")]
    assert {spec["names"]["plural"] for spec in rendered} == KINDS
    assert len(rendered) == len(specs)
    assert all(spec in rendered for spec in specs)


@pytest.mark.parametrize(("keep", "policy"), [("true", "keep"), ("false", None)])
def test_crds_keep_sets_the_resource_policy(render: Render, keep: str, policy: str | None) -> None:
    for crd in of_kind(render("--set", f"crds.keep={keep}"), "CustomResourceDefinition"):
        assert crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == policy


def test_crds_install_can_be_disabled(render: Render) -> None:
    assert not of_kind(render("--set", "crds.install=false"), "CustomResourceDefinition")


def test_pods_satisfy_the_restricted_standard(render: Render) -> None:
    found = pods(render())
    assert {"modelyard", "modelyard-scaler", "modelyard-activator"} < set(found)
    for pod in (item["spec"] for item in found.values()):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] >= 10000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]


def test_ports_equal_those_of_the_settings(render: Render) -> None:
    objects = render()
    ports = {port["name"]: port["containerPort"] for port in operator(objects)["containers"][0]["ports"]}
    service = named(objects, "Service", "modelyard")
    assert ports == {"metrics": settings(objects).metrics_port, "health": settings(objects).liveness_port}
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports


def test_changed_setting_restarts_the_operator(render: Render) -> None:
    def checksum(*arguments: str) -> str:
        pod = pods(render(*arguments))["modelyard"]
        return str(pod["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "workers=4")


def test_registry_secret_and_ca_bundle_are_mounted(render: Render) -> None:
    objects = render("--set", "registry.secretName=login", "--set", "caBundle.configMapName=ca")
    pod = operator(objects)
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["registry"]["secret"] == {
        "secretName": "login", "items": [{"key": ".dockerconfigjson", "path": "config.json"}],
    }  # fmt: skip
    assert settings(objects).registry.config_path == f"{mounts['registry']}/config.json"
    assert volumes["ca"]["configMap"] == {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    assert settings(objects).registry.ca_path == f"{mounts['ca']}/ca.crt"


def test_pod_values_are_rendered(render: Render) -> None:
    objects = render(
        "--set-json", 'nodeSelector={"a": "b"}',
        "--set-json", 'tolerations=[{"key": "a"}]',
        "--set-json", 'affinity={"nodeAffinity": {}}',
        "--set-json", 'podAnnotations={"note": "c"}',
        "--set-json", 'podLabels={"team": "d"}',
        "--set-json", 'extraEnv=[{"name": "HTTPS_PROXY", "value": "e"}]',
        "--set-json", 'imagePullSecrets=[{"name": "f"}]',
        "--set-json", 'build.serviceAccountAnnotations={"role": "g"}',
        "--set", "priorityClassName=high",
    )  # fmt: skip
    pod, metadata = operator(objects), pods(objects)["modelyard"]["metadata"]
    builder = named(objects, "ServiceAccount", "modelyard-builder")
    assert pod["nodeSelector"] == {"a": "b"}
    assert pod["tolerations"] == [{"key": "a"}]
    assert pod["affinity"] == {"nodeAffinity": {}}
    assert pod["imagePullSecrets"] == [{"name": "f"}]
    assert pod["priorityClassName"] == "high"
    assert metadata["annotations"]["note"] == "c"
    assert metadata["labels"]["team"] == "d"
    assert {"name": "HTTPS_PROXY", "value": "e"} in pod["containers"][0]["env"]
    assert builder["metadata"]["annotations"] == {"role": "g"}


@pytest.mark.parametrize(("release", "name"), [("modelyard", "modelyard"), ("yard", "yard-modelyard")])
def test_names_contain_the_release_name(render: Render, release: str, name: str) -> None:
    deployments = {item["metadata"]["name"] for item in of_kind(render(release=release), "Deployment")}
    assert deployments == {name, f"{name}-scaler", f"{name}-activator"}


def test_readme_describes_every_value() -> None:
    spec = importlib.util.spec_from_file_location("values_table", ROOT / "charts" / "values_table.py")
    assert spec and spec.loader
    values_table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(values_table)
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    described = set(values_table.descriptions((CHART / "values.yaml").read_text(encoding="utf-8")))

    def missing(prefix: str, value: Any) -> set[str]:
        if prefix in described:
            return set()
        if isinstance(value, dict) and value:
            return set().union(*(missing(f"{prefix}.{key}", item) for key, item in value.items()))
        return {prefix}

    assert set().union(*(missing(key, value) for key, value in values.items())) == set()
    assert (CHART / "README.md").read_text(encoding="utf-8") == values_table.readme(), "run `make chart-docs`"


def test_chart_versions_equal_the_package_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]


def test_packaged_chart_has_no_examples(helm: Run, tmp_path: Path) -> None:
    archive = helm("package", CHART, "--destination", tmp_path).strip().rsplit(maxsplit=1)[-1]
    with tarfile.open(archive) as files:
        names = files.getnames()
    assert "modelyard/Chart.yaml" in names
    assert not [name for name in names if "examples" in name]
