"""Invalid manifests, each with the field and the words that the error must contain."""

from __future__ import annotations

from typing import Any, Final

from tests.api_cases.case import ABSENT, Bad
from tests.api_cases.pod import BAD_POD

_DIGEST = "sha256:" + "a" * 64
_HALF = "x" * (256 * 1024)


def _assets(*assets: dict[str, Any]) -> dict[str, Any]:
    return {"spec.assets": [{"id": "driver", "content": ""}, *assets]}


_METADATA: Final = (
    Bad("Model", {"metadata.name": "Model_1.pkl"}, "metadata.name", "lowercase RFC 1123 subdomain"),
    Bad("Model", {"metadata.name": "a..b"}, "metadata.name", "lowercase RFC 1123 subdomain"),
    Bad("Image", {"metadata.name": "-a"}, "metadata.name", "lowercase RFC 1123 subdomain"),
    Bad("Model", {"metadata.name": "m" * 64}, "metadata.name", "at most 63 characters"),
    Bad("Manifest", {"metadata.name": "m" * 64}, "metadata.name", "at most 63 characters"),
    Bad("Image", {"metadata.name": "m" * 253}, "metadata.name", "at most 63 characters"),
    Bad("Service", {"metadata.name": "m" * 64}, "metadata.name", "at most 63 characters"),
    Bad("Service", {"metadata.name": "diabetes.v2"}, "metadata.name", "without a dot"),
    Bad("Service", {"metadata.name": "2nd"}, "metadata.name", "start with a letter"),
    Bad("Service", {"spec": ABSENT}, "spec", "required"),
)

_MODEL: Final = (
    Bad("Model", {"spec.url": ABSENT}, "spec.url", "required"),
    Bad("Model", {"spec.url": ""}, "spec.url", "at least 1 char"),
    Bad("Model", {"spec.url": None}, "spec.url", "required"),
    Bad("Model", {"spec.url": "ftp://example.com/model.pkl"}, "spec.url", "must start with one of http://"),
    Bad("Model", {"spec.url": "HTTPS://example.com/model.pkl"}, "spec.url", "must start with one of"),
    Bad("Model", {"spec.url": "model.pkl"}, "spec.url", "must start with one of"),
    Bad("Model", {"spec.url": "https://"}, "spec.url", "location of the file after the scheme"),
    Bad("Model", {"spec.url": "data:," + "x" * (512 * 1024)}, "spec.url", "524288"),
    Bad("Model", {"spec.mimeType": ABSENT}, "spec.mimeType", "required"),
    Bad("Model", {"spec.mimeType": ""}, "spec.mimeType", "at least 1 char"),
    Bad("Model", {"spec.name": "models/1"}, "spec.name", "must not contain /"),
    Bad("Model", {"spec.name": ".."}, "spec.name", "be . or .."),
    Bad("Model", {"spec.name": "one\ntwo"}, "spec.name", "control characters"),
    Bad("Model", {"spec.name": "\0"}, "spec.name", "control characters"),
    Bad("Model", {"spec.name": "é" * 128}, "spec.name", "255 bytes"),
    Bad("Model", {"spec.name": "m" * 256}, "spec.name", "255"),
    Bad("Model", {"spec.name": ""}, "spec.name", "at least 1 char"),
    Bad("Model", {"spec.unpack": "true"}, "spec.unpack", "boolean"),
    Bad("Model", {"spec.unpack": 1}, "spec.unpack", "boolean"),
    Bad("Model", {"spec.digest": "a" * 64}, "spec.digest", "sha256:"),
    Bad("Model", {"spec.digest": _DIGEST.upper()}, "spec.digest", "lower case"),
    Bad("Model", {"spec.digest": _DIGEST[:-1] + "\n"}, "spec.digest", "64 hexadecimal digits"),
    Bad("Model", {"spec.digest": _DIGEST + "a"}, "spec.digest", "71"),
    Bad("Model", {"spec.secretRef": {}}, "spec.secretRef.name", "required"),
    Bad("Model", {"spec.secretRef.name": ""}, "spec.secretRef.name", "at least 1 char"),
    Bad("Model", {"spec.secretRef.name": "My Secret"}, "spec.secretRef.name", "name of an object"),
    Bad("Model", {"spec.secretRef": "store"}, "spec.secretRef", "object"),
    Bad(
        "Model",
        {"spec.url": "s3://b/k", "spec.secretRef.name": "store", "spec.serviceAccountName": "reader"},
        "spec.serviceAccountName",
        "set secretRef or serviceAccountName, not both",
    ),
    Bad(
        "Model",
        {"spec.serviceAccountName": "reader"},
        "spec.serviceAccountName",
        "serviceAccountName is only allowed together with a url of s3://",
    ),
    Bad(
        "Model",
        {"spec.url": "s3://b/k", "spec.serviceAccountName": "My Account"},
        "spec.serviceAccountName",
        "name of an object",
    ),
    Bad("Model", {"spec.tags": "production"}, "spec.tags", "array"),
    Bad("Model", {"spec.tags": [""]}, "spec.tags[0]", "at least 1 char"),
    Bad("Model", {"spec.tags": [None]}, "spec.tags[0]", "string"),
    Bad("Model", {"spec.tags": ["a", 1]}, "spec.tags[1]", "string"),
    Bad("Model", {"spec.tags": ["t"] * 101}, "spec.tags", "at most 100 items"),
    Bad("Model", {"spec.description": "\U0001f600" * 4097}, "spec.description", "4096"),
)

_MANIFEST: Final = (
    Bad("Manifest", {"spec.assets": ABSENT}, "spec.assets", "required"),
    Bad("Manifest", {"spec.assets": []}, "spec.assets", "at least 1 item"),
    Bad(
        "Manifest",
        {"spec.assets.0.content": ABSENT},
        "spec.assets[0]",
        "must have exactly one of url and content",
    ),
    Bad(
        "Manifest",
        {"spec.assets.0.url": "data:,"},
        "spec.assets[0]",
        "must have exactly one of url and content",
    ),
    Bad("Manifest", {"spec.assets.0.id": ABSENT}, "spec.assets[0].id", "required"),
    Bad("Manifest", {"spec.assets.0.id": "../driver"}, "spec.assets[0].id", "must not contain /"),
    Bad("Manifest", {"spec.assets.0.id": "d" * 256}, "spec.assets[0].id", "255"),
    Bad("Manifest", {"spec.assets.0.mimeType": ""}, "spec.assets[0].mimeType", "at least 1 char"),
    Bad(
        "Manifest",
        {"spec.assets.0.unpack": True},
        "spec.assets[0].unpack",
        "unpack is only allowed together with url",
    ),
    Bad("Manifest", {"spec.assets.0.content": 5}, "spec.assets[0].content", "string"),
    Bad(
        "Manifest",
        {"spec.assets.0.secretRef.name": "store"},
        "spec.assets[0].secretRef",
        "secretRef is only allowed together with url",
    ),
    Bad(
        "Manifest",
        {"spec.assets.0.serviceAccountName": "reader"},
        "spec.assets[0].serviceAccountName",
        "serviceAccountName is only allowed together with a url of s3://",
    ),
    Bad("Manifest", _assets({"id": "driver", "url": "data:,"}), "spec.assets", "different ids"),
    Bad(
        "Manifest", _assets({"id": "a", "url": "file:///etc/passwd"}), "spec.assets[1].url", "must start with"
    ),
    Bad(
        "Manifest",
        _assets(*({"id": f"a{n}", "content": ""} for n in range(100))),
        "spec.assets",
        "at most 100 items",
    ),
    Bad(
        "Manifest",
        _assets({"id": "a", "content": _HALF}, {"id": "b", "url": f"data:,{_HALF}"}),
        "spec.assets",
        "524288 characters of url and content in total",
    ),
    Bad("Manifest", {"spec.driverProgram": ABSENT}, "spec.driverProgram", "required"),
    Bad("Manifest", {"spec.driverProgram": "score.py"}, "spec.driverProgram", "the id of one of the assets"),
    Bad("Manifest", {"spec.targetRuntime": ABSENT}, "spec.targetRuntime", "required"),
    Bad(
        "Manifest",
        {"spec.targetRuntime.runtimeType": "python"},
        "spec.targetRuntime.runtimeType",
        "SparkPython",
    ),
    Bad(
        "Manifest",
        {"spec.targetRuntime.properties": ABSENT},
        "spec.targetRuntime.properties",
        "required",
    ),
    Bad(
        "Manifest",
        {"spec.targetRuntime.properties": {"pipRequirement": "numpy"}},
        "spec.targetRuntime.properties",
        "allows only the keys pythonVersion, pipRequirements, condaEnvFile, builder, installCuda",
    ),
    Bad(
        "Manifest",
        {"spec.targetRuntime.properties": {"condaEnvFile": "c" * 65537}},
        "spec.targetRuntime.properties.condaEnvFile",
        "65536",
    ),
    *(
        Bad(
            "Manifest",
            {"spec.targetRuntime.properties.builder": name},
            "spec.targetRuntime.properties",
            "properties.builder must be Layers or Docker",
        )
        for name in ("docker", "Kaniko", "", "Layers\n")
    ),
    *(
        Bad(
            "Manifest",
            {"spec.targetRuntime.properties.installCuda": flag},
            "spec.targetRuntime.properties",
            'properties.installCuda must be "true" or "false" in quotes',
        )
        for flag in ("True", "12.4", "")
    ),
    Bad(
        "Manifest",
        {"spec.targetRuntime.properties": {"pythonVersion": "3.11.4"}},
        "spec.targetRuntime.properties",
        'a minor version in quotes, such as "3.11"',
    ),
    Bad(
        "Manifest",
        {"spec.targetRuntime.properties": {"pythonVersion": "3.11\n"}},
        "spec.targetRuntime.properties",
        "a minor version in quotes",
    ),
    Bad(
        "Manifest",
        {"spec.targetRuntime.properties": {"pythonVersion": 3.11}},
        "spec.targetRuntime.properties.pythonVersion",
        "string",
    ),
    Bad("Manifest", {"spec.modelIds": ["diabetes:0"]}, "spec.modelIds[0]", "name:version"),
    Bad("Manifest", {"spec.modelIds": ["diabetes:latest"]}, "spec.modelIds[0]", "name:version"),
    Bad(
        "Manifest",
        {"spec.modelIds": ["ok", "Model_1.pkl"]},
        "spec.modelIds[1]",
        "modelIds must be the metadata.name",
    ),
    Bad("Manifest", {"spec.modelIds": ["a..b"]}, "spec.modelIds[0]", "name of an object"),
    Bad("Manifest", {"spec.modelIds": ["diabetes\n"]}, "spec.modelIds[0]", "name of an object"),
    Bad("Manifest", {"spec.modelIds": ["m" * 64]}, "spec.modelIds[0]", "at most 63 characters"),
    Bad(
        "Manifest",
        {"spec.modelIds": ["a", "b", "a"]},
        "spec.modelIds",
        "name each model once: remove the duplicate",
    ),
    Bad("Manifest", {"spec.modelIds": "diabetes"}, "spec.modelIds", "array"),
    Bad("Manifest", {"spec.modelType": "Inline"}, "spec.modelType", "Registered"),
    Bad("Manifest", {"spec.webserviceType": "Batch"}, "spec.webserviceType", "Realtime"),
)

_IMAGE: Final = (
    Bad("Image", {"spec.manifestId": ABSENT}, "spec.manifestId", "required"),
    Bad("Image", {"spec.manifestId": "diabetes:"}, "spec.manifestId", "name:version"),
    Bad("Image", {"spec.manifestId": "diabetes:1:2"}, "spec.manifestId", "name:version"),
    Bad("Image", {"spec.manifestId": "diabetes:1234567890"}, "spec.manifestId", "name:version"),
    Bad("Image", {"spec.imageType": "docker"}, "spec.imageType", "Docker"),
    Bad("Image", {"spec.imageType": ABSENT}, "spec.imageType", "required"),
    Bad("Image", {"spec.computeResourceId": "c" * 256}, "spec.computeResourceId", "255"),
)


def _reserve(resource: str, quantity: Any, words: str = "must be a Kubernetes quantity") -> Bad:
    path = f"spec.containerResourceReservation.{resource}"
    return Bad("Service", {path: quantity}, path, words)


_QUANTITIES: Final = (
    _reserve("cpu", 0.5, "cpu"),
    _reserve("cpu", True, "cpu"),
    _reserve("memory", 1073741824.0, "memory"),
    _reserve("cpu", [], "cpu"),
    _reserve("cpu", ""),
    _reserve("cpu", "many"),
    _reserve("cpu", "0"),
    _reserve("cpu", -1),
    _reserve("cpu", "0.5m", "from 1m to 10k"),
    _reserve("cpu", "512Mi", "from 1m to 10k"),
    _reserve("cpu", "0x10"),
    _reserve("cpu", "1_000m"),
    _reserve("cpu", " 1"),
    _reserve("cpu", "1\n"),
    _reserve("cpu", "\u0661"),  # a digit in Unicode and Python, but not in Kubernetes
    _reserve("cpu", "Infinity"),
    _reserve("cpu", "0" * 32 + "1", "cpu"),
    _reserve("memory", "512m", "from 1Mi to 1Pi"),
    _reserve("memory", "512MB"),
    _reserve("memory", "100M "),
    _reserve("memory", "1e3M"),
    _reserve("memory", "1e99"),
    _reserve("memory", "512mi"),
    _reserve("memory", "1e+"),
    _reserve("memory", "."),
)


def _scale(field: str, value: Any, words: str) -> Bad:
    return Bad("Service", {f"spec.autoScaler.{field}": value}, f"spec.autoScaler.{field}", words)


_SERVICE: Final = (
    Bad("Service", {"spec.imageId": ABSENT}, "spec.imageId", "required"),
    Bad(
        "Service",
        {"spec.imageId": "registry/image:1"},
        "spec.imageId",
        "imageId must be the metadata.name of",
    ),
    Bad("Service", {"spec.numReplicas": -1}, "spec.numReplicas", "greater than or equal to 0"),
    Bad("Service", {"spec.numReplicas": 10001}, "spec.numReplicas", "less than or equal to 10000"),
    Bad("Service", {"spec.numReplicas": "1"}, "spec.numReplicas", "integer"),
    Bad("Service", {"spec.numReplicas": True}, "spec.numReplicas", "integer"),
    Bad("Service", {"spec.numReplicas": 1.5}, "spec.numReplicas", "integer"),
    Bad(
        "Service",
        {"spec.numReplicas": 2, "spec.autoScaler.autoscaleEnabled": True},
        "spec.numReplicas",
        "exclude each other: remove one of them",
    ),
    _scale("minReplicas", 11, "must not exceed autoScaler.maxReplicas (default 10)"),
    _scale("minReplicas", -1, "greater than or equal to 0"),
    _scale("maxReplicas", 0, "greater than or equal to 1"),
    _scale("maxReplicas", 10**20, "maxReplicas"),
    _scale("cooldownPeriodInSeconds", 0, "greater than or equal to 1"),
    _scale("cooldownPeriodInSeconds", 86401, "less than or equal to 86400"),
    _scale("refreshPeriodInSeconds", 0, "greater than or equal to 1"),
    _scale("refreshPeriodInSeconds", 1801, "less than or equal to 1800"),
    _scale("targetUtilization", 101, "less than or equal to 100"),
    _scale("autoscaleEnabled", "yes", "boolean"),
    Bad(
        "Service",
        {"spec.autoScaler": {"minReplicas": 3, "maxReplicas": 2}},
        "spec.autoScaler.minReplicas",
        "must not exceed",
    ),
    Bad("Service", {"spec.autoScaler": []}, "spec.autoScaler", "object"),
    Bad(
        "Service",
        {"spec.maxConcurrentRequestsPerContainer": 0},
        "spec.maxConcurrentRequestsPerContainer",
        "greater than or equal to 1",
    ),
    Bad("Service", {"spec.computeResource.type": "Spark"}, "spec.computeResource.type", "Cluster"),
    Bad("Service", {"spec.appInsightsEnabled": 0}, "spec.appInsightsEnabled", "boolean"),
    Bad(
        "Service",
        {"spec.dataCollection.eventHubEnabled": "on"},
        "spec.dataCollection.eventHubEnabled",
        "boolean",
    ),
    *(
        Bad(
            "Service",
            {"spec.dataCollection": {field: [path]}},
            f"spec.dataCollection.{field}[0]",
            "such as data.ssn",
        )
        for field in ("leaveOut", "hash")
        for path in ("a..b", ".a", "a.", "a[0]", "a[*]b", "$.a*", "a\n", "a.**")
    ),
    Bad(
        "Service",
        {"spec.dataCollection.leaveOut": [""]},
        "spec.dataCollection.leaveOut[0]",
        "at least 1 char",
    ),
    Bad("Service", {"spec.dataCollection.hash": ["a" * 257]}, "spec.dataCollection.hash[0]", "256"),
    Bad("Service", {"spec.dataCollection.hash": ["a"] * 65}, "spec.dataCollection.hash", "64"),
    Bad("Service", {"spec.dataCollection.hash": "a"}, "spec.dataCollection.hash", "array"),
    Bad("Service", {"spec.dataCollection.samplingPercent": 0}, "spec.dataCollection.samplingPercent", "1"),
    Bad(
        "Service", {"spec.dataCollection.samplingPercent": 101}, "spec.dataCollection.samplingPercent", "100"
    ),
    Bad(
        "Service",
        {"spec.dataCollection.samplingPercent": "5"},
        "spec.dataCollection.samplingPercent",
        "integer",
    ),
    Bad("Service", {"spec.dataCollection.maxBodyBytes": 0}, "spec.dataCollection.maxBodyBytes", "1"),
    Bad(
        "Service",
        {"spec.dataCollection.maxBodyBytes": 2**20 + 1},
        "spec.dataCollection.maxBodyBytes",
        "1048576",
    ),
    Bad("Service", {"spec.route.host": "*.example.com"}, "spec.route.host", "without a wildcard"),
    Bad("Service", {"spec.route.host": "Example.com"}, "spec.route.host", "lower case"),
    Bad("Service", {"spec.route.host": "a" * 64 + ".b"}, "spec.route.host", "DNS name"),
    Bad("Service", {"spec.route.path": "/v2/"}, "spec.route.path", "without a slash"),
    Bad("Service", {"spec.route.path": "/a/../b"}, "spec.route.path", "begin with no dot"),
    Bad("Service", {"spec.route.path": "v2"}, "spec.route.path", "route.path must be"),
    Bad("Service", {"spec.route.enabled": "no"}, "spec.route.enabled", "boolean"),
)

BAD: Final = (*_METADATA, *_MODEL, *_MANIFEST, *_IMAGE, *_QUANTITIES, *_SERVICE, *BAD_POD)
