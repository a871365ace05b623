"""Valid and invalid `spec.pod` of a Service."""

from __future__ import annotations

from typing import Any, Final

from tests.api_cases.case import Bad, Good

from modelyard.api.pod.environment import FIELD_PATHS, RESERVED_VARIABLES

EVERY_FIELD: Final[dict[str, Any]] = {
    "env": [
        {"name": "STORE", "value": "s3://models"},
        {"name": "EMPTY", "value": ""},
        {"name": "UNSET"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "store", "key": "token", "optional": True}}},
        {"name": "URL", "valueFrom": {"configMapKeyRef": {"name": "store", "key": "url", "optional": False}}},
        {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['example.com/team']"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        *({"name": f"F{n}", "valueFrom": {"fieldRef": {"fieldPath": p}}} for n, p in enumerate(FIELD_PATHS)),
    ],
    "envFrom": [
        {"prefix": "DB_", "secretRef": {"name": "database", "optional": True}},
        {"configMapRef": {"name": "features"}},
    ],
    "resources": {
        "limits": {"cpu": 2, "memory": "1Gi", "ephemeral-storage": "2Gi", "nvidia.com/gpu": 1},
        "requests": {"ephemeral-storage": "1Gi"},
    },
    "volumes": [
        {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "disk", "emptyDir": {"medium": "", "sizeLimit": 1000000}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        {
            "name": "certificates",
            "secret": {
                "secretName": "tls",
                "items": [{"key": "tls.crt", "path": "tls/server.crt", "mode": 0o440}],
                "defaultMode": 0o400,
                "optional": True,
            },
        },
        {"name": "settings", "configMap": {"name": "settings", "optional": True, "defaultMode": 0}},
        {
            "name": "identity",
            "projected": {
                "defaultMode": 0o440,
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": "sts.amazonaws.com",
                            "expirationSeconds": 600,
                            "path": "token",
                        }
                    },
                    {"secret": {"name": "role", "items": [{"key": "arn", "path": "arn"}], "optional": True}},
                    {"configMap": {"name": "region", "optional": True}},
                ],
            },
        },
    ],
    "volumeMounts": [
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "scratch", "mountPath": "/tmp/cache", "subPath": "cache/1", "readOnly": False},
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "disk", "mountPath": "/mnt/disk"},
        {"name": "data", "mountPath": "/data", "readOnly": True},
        {"name": "certificates", "mountPath": "/etc/certificates"},
        {"name": "settings", "mountPath": "/var/azureml-app/settings"},
        {"name": "identity", "mountPath": "/var/run/secrets/cloud"},
    ],
    "nodeSelector": {"pool": "gpu", "example.com/empty": ""},
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        {"key": "team", "operator": "Equal", "value": "a"},
        {"key": "team"},
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "gpu", "operator": "In", "values": ["a100", "h100"]},
                            {"key": "memory", "operator": "Gt", "values": ["40"]},
                            {"key": "broken", "operator": "DoesNotExist"},
                        ],
                        "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}],
                    }
                ]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]},
                }
            ],
        },
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {"matchLabels": {"app": "cache"}},
                    "namespaces": ["caches"],
                    "topologyKey": "topology.kubernetes.io/zone",
                }
            ]
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "labelSelector": {
                            "matchExpressions": [{"key": "app", "operator": "In", "values": ["batch"]}]
                        },
                        "namespaceSelector": {},
                        "topologyKey": "kubernetes.io/hostname",
                    },
                }
            ]
        },
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 2,
            "nodeAffinityPolicy": "Honor",
            "nodeTaintsPolicy": "Ignore",
            "matchLabelKeys": ["pod-template-hash"],
        },
        {
            "maxSkew": 2,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": "a"}},
        },
    ],
    "priorityClassName": "serving",
    "runtimeClassName": "nvidia",
    "serviceAccountName": "scorer",
    "imagePullSecrets": [{"name": "registry"}],
    "labels": {"example.com/team": "a", "empty": ""},
    "annotations": {"sidecar.istio.io/inject": "false", "note": "two words"},
    "securityContext": {
        "runAsUser": 20000,
        "runAsGroup": 20000,
        "fsGroup": 20000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "supplementalGroups": [30000, 30001],
        "seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/scoring.json"},
    },
    "runtime": {
        "workers": 64,
        "scoringTimeoutMs": 86_400_000,
        "queueTimeoutMs": 600_000,
        "maxBodySize": "10Gi",
        "corsOrigins": ["https://app.example.com", r"https://.*\.example\.com", "*"],
        "logLevel": "DEBUG",
    },
}
"""A `spec.pod` with every field."""

_VOLUME: Final = {"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}
_TWENTY: Final = [{"name": f"v{n}", "emptyDir": {"sizeLimit": "1Gi"}} for n in range(20)]

GOOD_POD: Final = (
    Good("Service", {"spec.pod": {}}),
    Good("Service", {"spec.pod": EVERY_FIELD}),
    *(Good("Service", {f"spec.pod.{name}": value}) for name, value in EVERY_FIELD.items() if name[0] != "v"),
    Good("Service", {"spec.pod.volumes": EVERY_FIELD["volumes"]}),
    Good("Service", {"spec.pod.env": [{"name": f"V{n}"} for n in range(100)]}),
    Good("Service", {"spec.pod.env": [{"name": "SERVICE_NAME", "value": "m"}]}),
    Good("Service", {"spec.pod.env": [{"name": "A", "value": "x" * 32768}]}),
    Good(
        "Service",
        {
            "spec.pod.volumes": _TWENTY,
            "spec.pod.volumeMounts": [{"name": f"v{n}", "mountPath": f"/v/{n}"} for n in range(20)],
        },
    ),
    Good(
        "Service",
        {
            "spec.containerResourceReservation": {"cpu": "500m", "memory": "64Mi"},
            "spec.pod.resources.limits": {"cpu": "0.5", "memory": "64Mi"},
        },
    ),
    Good("Service", {"spec.pod.resources.limits": {"cpu": "100m", "memory": "512Mi"}}),
)


def _bad(field: str, value: Any, words: str, at: str = "") -> Bad:
    """Return a Service with one field of `spec.pod`, and the error about `at` below that field."""
    return Bad("Service", {f"spec.pod.{field}": value}, f"spec.pod.{field}{at}", words)


def _variable(words: str, at: str, **variable: Any) -> Bad:
    return _bad("env", [{"name": "A"} | variable], words, f"[0]{at}")


def _mounted(path: str, words: str, **mount: Any) -> Bad:
    changes = {
        "spec.pod.volumes": [_VOLUME],
        "spec.pod.volumeMounts": [{"name": "v", "mountPath": path} | mount],
    }
    field = "subPath" if mount else "mountPath"
    return Bad("Service", changes, f"spec.pod.volumeMounts[0].{field}", words)


def _volume(words: str, at: str, **source: Any) -> Bad:
    return _bad("volumes", [{"name": "v"} | source], words, f"[0]{at}")


_HIDDEN: Final = (
    *("/tmp", "/etc", "/usr", "/usr/local/lib", "/proc", "/proc/1", "/sys", "/dev", "/dev/null", "/var"),
    *("/var/run", "/var/run/modelyard/keys", "/var/run/modelyard", "/run/modelyard/keys", "/var/azureml-app"),
    *("/var/azureml-models", "/opt/modelyard/environment/lib", "/opt", "/tmp/azureml-app"),
)
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_TERMS: Final = f"spec.pod.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
_TERM: Final = {"key": "gpu", "operator": "In"}
_SPREAD: Final = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}

BAD_POD: Final = (
    _bad("env", "A=1", "array"),
    _bad("env", [{"name": "A"}, {"name": "A"}], "must have different names"),
    _variable("no digit first", ".name", name="1A"),
    _variable("no digit first", ".name", name="A B"),
    _variable("at least 1 char", ".name", name=""),
    *(_variable("are reserved for the scoring runtime", ".name", name=name) for name in RESERVED_VARIABLES),
    _variable("are reserved for the scoring runtime", ".name", name="MODELYARD_KEYS_DIR"),
    _variable(
        "value or valueFrom, not both", "", value="1", valueFrom={"fieldRef": {"fieldPath": "spec.nodeName"}}
    ),
    _variable("exactly one of secretKeyRef", ".valueFrom", valueFrom={}),
    _variable(
        "name of an object",
        ".valueFrom.secretKeyRef.name",
        valueFrom={"secretKeyRef": {"name": "A b", "key": "k"}},
    ),
    _variable("required", ".valueFrom.secretKeyRef.key", valueFrom={"secretKeyRef": {"name": "s"}}),
    _variable(
        "fieldPath must be one of",
        ".valueFrom.fieldRef.fieldPath",
        valueFrom={"fieldRef": {"fieldPath": "spec"}},
    ),
    _variable(
        "limits.memory",
        ".valueFrom.resourceFieldRef.resource",
        valueFrom={"resourceFieldRef": {"resource": "gpu"}},
    ),
    _bad("env", [{"name": "A", "value": "x" * 32769}], "32768", "[0].value"),
    Bad(
        "Service",
        {"spec.pod.env": [{"name": "A", "value": "x" * 20000}], "spec.pod.annotations": {"a": "x" * 13000}},
        "spec.pod",
        "not have more than 32768 characters",
    ),
    _bad("envFrom", [{}], "exactly one of secretRef and configMapRef", "[0]"),
    _bad("envFrom", [{"prefix": "MODELYARD_", "secretRef": {"name": "s"}}], "is reserved", "[0].prefix"),
    _bad("resources.limits", {"gpu": 1}, "limits allows cpu, memory, ephemeral-storage and extended"),
    _bad("resources.limits", {"cpu": "1", "memory": "256Mi"}, "memory must not be below"),
    _bad("resources.limits", {"cpu": "50m"}, "limits.cpu must not be below containerResourceReservation.cpu"),
    _bad("resources.limits", {"memory": "much"}, "each amount must be a Kubernetes quantity"),
    _bad("resources.requests", {"cpu": "1"}, "reserve cpu and memory in containerResourceReservation"),
    _volume("exactly one of emptyDir", ""),
    _volume("exactly one of emptyDir", "", emptyDir={"sizeLimit": "1Gi"}, configMap={"name": "c"}),
    _volume("required", ".emptyDir.sizeLimit", emptyDir={}),
    _volume("quantity", ".emptyDir.sizeLimit", emptyDir={"sizeLimit": "big"}),
    _volume("Memory", ".emptyDir.medium", emptyDir={"sizeLimit": "1Gi", "medium": "HugePages"}),
    _volume(
        "set readOnly to true",
        ".persistentVolumeClaim.readOnly",
        persistentVolumeClaim={"claimName": "c", "readOnly": False},
    ),
    _volume("required", ".persistentVolumeClaim.readOnly", persistentVolumeClaim={"claimName": "c"}),
    _volume(
        "must be relative",
        ".secret.items[0].path",
        secret={"secretName": "s", "items": [{"key": "k", "path": "../k"}]},
    ),
    _volume("at least 1 item", ".projected.sources", projected={"sources": []}),
    _volume("exactly one of serviceAccountToken", ".projected.sources[0]", projected={"sources": [{}]}),
    _volume(
        "greater than or equal to 600",
        ".projected.sources[0].serviceAccountToken.expirationSeconds",
        projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}]},
    ),
    _bad("volumes", [_VOLUME, _VOLUME], "must have different names"),
    _bad("volumes", [_VOLUME | {"name": "tmp"}], "are reserved for the scoring runtime", "[0].name"),
    _bad("volumes", [_VOLUME | {"name": "keys"}], "are reserved for the scoring runtime", "[0].name"),
    _bad("volumes", [_VOLUME | {"name": "A"}], "only a-z", "[0].name"),
    _bad("volumeMounts", [{"name": "v", "mountPath": "/v"}], "must have the name of one of volumes"),
    Bad(
        "Service",
        {"spec.pod.volumes": [_VOLUME], "spec.pod.volumeMounts": [{"name": "v", "mountPath": "/v"}] * 2},
        "spec.pod.volumeMounts",
        "must have different paths",
    ),
    *(_mounted(path, "would hide a folder") for path in _HIDDEN),
    *(
        _mounted(path, "must be an absolute path")
        for path in ("/", "data", "/data/", "/a/../b", "/a:b", "/./a")
    ),
    _mounted("/data", "must be relative", subPath="/etc"),
    _mounted("/data", "must be relative", subPath="a/.."),
    _bad("nodeSelector", {"pool": "a b"}, "values must have only letters"),
    _bad("tolerations", [{}], "must have the operator Exists", "[0]"),
    _bad("tolerations", [{"key": "a", "operator": "Exists", "value": "1"}], "must have no value", "[0]"),
    _bad("tolerations", [{"key": "a", "tolerationSeconds": 1}], "with the effect NoExecute", "[0]"),
    _bad("tolerations", [{"key": "a", "operator": "exists"}], "Exists", "[0].operator"),
    _bad("tolerations", [{"key": "a", "effect": "NoSchedul"}], "NoSchedule", "[0].effect"),
    Bad(
        "Service",
        {
            _TERMS: [{"matchExpressions": [_TERM]}],
        },
        f"{_TERMS}[0].matchExpressions[0]",
        "values is required with the operators",
    ),
    _bad(
        "topologySpreadConstraints", [_SPREAD | {"maxSkew": 0}], "greater than or equal to 1", "[0].maxSkew"
    ),
    _bad("topologySpreadConstraints", [_SPREAD | {"minDomains": 2}], "DoNotSchedule", "[0]"),
    _bad("priorityClassName", "High", "name of an object"),
    _bad("runtimeClassName", "", "at least 1 char"),
    _bad("serviceAccountName", "a_b", "name of an object"),
    _bad("imagePullSecrets", [{}], "required", "[0].name"),
    _bad("labels", {"modelyard.dev/service": "other"}, "are reserved: choose another key"),
    _bad("labels", {"app.kubernetes.io/managed-by": "me"}, "are reserved: choose another key"),
    _bad("labels", {"team": "-a"}, "values must have only letters"),
    _bad("annotations", {"modelyard.dev/template": "x"}, "are reserved: choose another key"),
    _bad("securityContext.runAsUser", 0, "greater than or equal to 1"),
    _bad("securityContext.seccompProfile", {"type": "Unconfined"}, "RuntimeDefault", ".type"),
    _bad("securityContext.seccompProfile", {"type": "Localhost"}, "localhostProfile is required"),
    _bad("runtime.workers", 0, "greater than or equal to 1"),
    _bad("runtime.workers", 65, "less than or equal to 64"),
    _bad("runtime.scoringTimeoutMs", 0, "greater than or equal to 1"),
    _bad("runtime.queueTimeoutMs", "1s", "integer"),
    _bad("runtime.maxBodySize", "11Gi", "from 1Ki to 10Gi"),
    _bad("runtime.maxBodySize", "large", "from 1Ki to 10Gi"),
    _bad("runtime.corsOrigins", ["https://a.example.com,https://b.example.com"], "no comma", "[0]"),
    _bad("runtime.corsOrigins", [""], "at least 1 char", "[0]"),
    _bad("runtime.logLevel", "TRACE", "DEBUG"),
)
