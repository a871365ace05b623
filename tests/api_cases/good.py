"""Valid manifests, most of them at the limits of the schema."""

from __future__ import annotations

from typing import Any, Final

from tests.api_cases.case import SPECS, Good
from tests.api_cases.pod import GOOD_POD

_DIGEST = "sha256:" + "0123456789abcdef" * 4
_URLS = (
    "http://example.com/model.pkl?sig=a%2Fb&se=1",
    "oci://registry.example.com:5000/models/diabetes@sha256:0",
    "s3://bucket/key with spaces",
    "gs://bucket/key",
    "abfs://container@account.dfs.core.windows.net/key",
    "abfss://container@account.dfs.core.windows.net/key",
    "pvc://claim/deep/key",
    "data:,",
    "data:text/plain;base64,SGVsbG8=",
    "data:," + "x" * (512 * 1024 - 6),
)
_NAMES = ("Modèle № 1", "é" * 127 + "e", "...", " ", "a\\b", "\U0001f600")
_REFERENCES = ("m", "diabetes:1", "diabetes.v2:999999999", "m" * 63, "m" * 63 + ":1", "1.2-3.x")
_BUILDERS = ("Layers", "Docker", None)
_CPU = (
    "1m",
    "100m",
    2,
    "2",
    "0.5",
    ".5",
    "5.",
    "+1",
    "1e3",
    "1E-3",
    "1e+1",
    "10k",
    10000,
    "100000u",
    "0000.10",
)
_MEMORY = ("1Mi", "512Mi", "100M", 536870912, "1.5Gi", "1e9", "1E9", "1Pi", "1048576000m", "0.001T")

_ASSETS = [{"id": str(number), "url": "data:,"} for number in range(100)]
_LARGEST_ASSET: Final = {
    "id": "weights.tar.gz",
    "mimeType": "application/gzip",
    "url": "s3://bucket/weights.tar.gz",
    "unpack": True,
    "digest": _DIGEST,
    "secretRef": {"name": "store.credentials-1"},
}
_LARGEST: Final[dict[str, dict[str, Any]]] = {
    "Model": {
        "spec.name": "Model_1.pkl",
        "spec.unpack": True,
        "spec.digest": _DIGEST,
        "spec.secretRef.name": "store",
        "spec.tags": ["t" * 255] * 100,
        "spec.description": "\U0001f600" * 4096,
    },
    "Manifest": {
        "spec.name": "Manifest 1",
        "spec.assets": [*SPECS["Manifest"]["assets"], _LARGEST_ASSET],
        "spec.targetRuntime.properties": {"pythonVersion": "3.12", "pipRequirements": "r" * 65536},
        "spec.modelIds": [f"model-{number}" for number in range(100)],
        "spec.modelType": "Registered",
        "spec.webserviceType": "Realtime",
        "spec.description": "",
    },
    "Image": {
        "spec.name": "Image 1",
        "spec.computeResourceId": "/subscriptions/1",
        "spec.description": "d" * 4096,
    },
    "Service": {
        "spec.name": "Service 1",
        "spec.computeResource": {"id": "cluster", "type": "Cluster"},
        "spec.autoScaler": {
            "autoscaleEnabled": True,
            "minReplicas": 10000,
            "maxReplicas": 10000,
            "refreshPeriodInSeconds": 1800,
            "cooldownPeriodInSeconds": 86400,
            "targetUtilization": 100,
        },
        "spec.containerResourceReservation": {"cpu": "1", "memory": "1Gi"},
        "spec.maxConcurrentRequestsPerContainer": 10000,
        "spec.appInsightsEnabled": True,
        "spec.dataCollection": {
            "eventHubEnabled": False,
            "storageEnabled": True,
            "samplingPercent": 100,
            "maxBodyBytes": 1048576,
            "leaveOut": [f"data[*].{'n' * 244}{number:02}" for number in range(64)],
            "hash": ["data.first name", "*", "[*]", "[*][*].a", "data.*.größe", "data[*].*"],
        },
        "spec.route": {"enabled": True, "host": "a-1.example.com", "path": "/v2/A_b~c.d"},
    },
}

GOOD: Final = (
    *(Good(kind, {}) for kind in SPECS),
    *(Good(kind, changes) for kind, changes in _LARGEST.items()),
    *(Good(kind, {"metadata.name": "m" * 63}) for kind in SPECS),
    Good("Model", {"metadata.name": "model-1.v2.pkl"}),
    Good("Image", {"metadata.name": "0"}),
    *(Good("Model", {"spec.url": url}) for url in _URLS),
    *(Good("Model", {"spec.name": name}) for name in _NAMES),
    Good("Model", dict.fromkeys(["spec.name", "spec.unpack", "spec.digest", "spec.secretRef", "spec.tags"])),
    *(
        Good("Model", {"spec.serviceAccountName": "models.reader-1", "spec.url": url})
        for url in _URLS
        if url.startswith(("s3:", "gs:", "abfs"))
    ),
    Good(
        "Manifest",
        {
            "spec.assets": [
                *SPECS["Manifest"]["assets"],
                {"id": "a", "url": "s3://bucket/a", "serviceAccountName": "reader"},
            ]
        },
    ),
    Good("Model", {"spec.tags": []}),
    Good("Model", {"spec.tags": ["a", "a"]}),
    Good("Manifest", {"spec.assets.0.content": ""}),
    Good("Manifest", {"spec.assets.0.content": "x" * (512 * 1024)}),
    Good("Manifest", {"spec.assets.0.unpack": False}),
    Good("Manifest", {"spec.assets": _ASSETS, "spec.driverProgram": "0"}),
    Good("Manifest", {"spec.targetRuntime.runtimeType": "SparkPython"}),
    Good("Manifest", {"spec.targetRuntime.properties": {"pythonVersion": "3.11", "pipRequirements": ""}}),
    Good("Manifest", {"spec.targetRuntime.properties": {"condaEnvFile": None}}),
    *(Good("Manifest", {"spec.targetRuntime.properties.builder": name}) for name in _BUILDERS),
    *(Good("Manifest", {"spec.targetRuntime.properties.installCuda": flag}) for flag in ("true", "false")),
    Good("Manifest", {"spec.targetRuntime.properties": {"condaEnvFile": "https://example.com/environment.yml"}}),
    Good(
        "Manifest",
        {"spec.targetRuntime.properties": {"condaEnvFile": "dependencies: [pip]", "pipRequirements": "a"}},
    ),
    Good("Manifest", {"spec.modelIds": []}),
    Good("Manifest", {"spec.modelIds": ["diabetes", "diabetes:1"]}),
    *(Good("Manifest", {"spec.modelIds": [reference]}) for reference in _REFERENCES),
    Good("Image", {"spec.manifestId": "m" * 63 + ":999999999"}),
    *(Good("Service", {"spec.containerResourceReservation.cpu": cpu}) for cpu in _CPU),
    *(Good("Service", {"spec.containerResourceReservation.memory": memory}) for memory in _MEMORY),
    Good("Service", {"spec.containerResourceReservation": {}}),
    Good("Service", {"spec.numReplicas": 0}),
    Good("Service", {"spec.maxConcurrentRequestsPerContainer": 2.0}),
    Good("Service", {"spec.numReplicas": 0, "spec.autoScaler.autoscaleEnabled": False}),
    Good("Service", {"spec.numReplicas": 2, "spec.autoScaler": {}}),
    Good("Service", {"spec.numReplicas": 2, "spec.autoScaler": {"minReplicas": 1, "maxReplicas": 4}}),
    Good("Service", {"spec.autoScaler": {"minReplicas": 0, "maxReplicas": 1, "targetUtilization": 0}}),
    Good("Service", {"spec.autoScaler.minReplicas": 10}),
    Good("Service", {"spec.numReplicas": None, "spec.autoScaler.autoscaleEnabled": True}),
    Good("Service", {"spec.computeResource": {}}),
    *GOOD_POD,
)  # fmt: skip
