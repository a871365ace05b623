"""Environment variables of the scoring container: values, Secrets, ConfigMaps and fields of the pod."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from modelyard.api.base import ApiType, Boolean
from modelyard.api.pod.shapes import DataKey, ObjectName, exactly_one, unique
from modelyard.api.rules import Rule
from modelyard.scoring.contract import Variable

_PREFIX: Final = "MODELYARD_"
RESERVED_VARIABLES: Final = (
    Variable.APP_ROOT,
    Variable.ENTRY_SCRIPT,
    Variable.MODEL_DIR,
    Variable.SCORING_TIMEOUT_MS,
    Variable.WORKER_COUNT,
    Variable.WORKER_TIMEOUT,
    Variable.CORS_ORIGINS,
    Variable.TELEMETRY,
    Variable.OTLP_ENDPOINT,
    Variable.SERVICE_NAME,
    Variable.CONNECTION_STRING,
)
"""Variables that the image or the Deployment sets, without those of the prefix."""

# The letters of a variable in Kubernetes before 1.32.
_NAME: Final = re.compile(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
_NAME_RULE: Final = Rule(
    cel=f"self.matches(r'{_NAME.pattern}')",
    message="a variable's name must have only letters, digits, - _ and ., and no digit first",
    is_valid=lambda name: bool(_NAME.fullmatch(name)),
)
_RESERVED_RULE: Final = Rule(
    cel=f"!self.startsWith('{_PREFIX}') && !(self in [{', '.join(map(repr, RESERVED_VARIABLES))}])",
    message=f"the variables {_PREFIX}* and {', '.join(RESERVED_VARIABLES)} are reserved for the scoring"
    " runtime: choose another name",
    is_valid=lambda name: not name.startswith(_PREFIX) and name not in RESERVED_VARIABLES,
)
VariableName = Annotated[str, StringConstraints(min_length=1, max_length=253), _NAME_RULE, _RESERVED_RULE]
FIELD_PATHS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_FIELD_PATH: Final = re.compile(r"^metadata\.(labels|annotations)\['[^'\n]+'\]$")

_PATHS: Final = ", ".join(map(repr, FIELD_PATHS))
FieldPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=400),
    Rule(
        cel=f'self in [{_PATHS}] || self.matches(r"{_FIELD_PATH.pattern}")',
        message=f"fieldPath must be one of {', '.join(FIELD_PATHS)}, metadata.labels['<key>'] and"
        " metadata.annotations['<key>']",
        is_valid=lambda path: path in FIELD_PATHS or bool(_FIELD_PATH.fullmatch(path)),
    ),
]
Prefix = Annotated[
    str,
    StringConstraints(max_length=63),
    Rule(
        cel=f"!self.startsWith('{_PREFIX}')",
        message=f"the prefix {_PREFIX} is reserved for the scoring runtime: choose another prefix",
        is_valid=lambda prefix: not prefix.startswith(_PREFIX),
    ),
]


class KeySelector(ApiType):
    """A key of a Secret or ConfigMap in the namespace of the Service."""

    name: ObjectName
    """Name of the object."""
    key: DataKey
    """Key in its data."""
    optional: Boolean | None = None
    """If true, a pod starts without the variable if the object or the key is missing. Default: false."""


class FieldSelector(ApiType):
    """A field of the pod."""

    field_path: FieldPath
    """Path of the field, such as status.podIP."""


class ResourceSelector(ApiType):
    """A request or limit of the scoring container."""

    resource: Literal[
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
    ]
    """Name of the request or limit, such as limits.memory."""


class VariableSource(ApiType):
    """The source of a variable's value."""

    rules = (
        exactly_one(
            "valueFrom must have exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
            "secretKeyRef",
            "configMapKeyRef",
            "fieldRef",
            "resourceFieldRef",
        ),
    )

    secret_key_ref: KeySelector | None = None
    """A key of a Secret."""
    config_map_key_ref: KeySelector | None = None
    """A key of a ConfigMap."""
    field_ref: FieldSelector | None = None
    """A field of the pod."""
    resource_field_ref: ResourceSelector | None = None
    """A request or limit of the scoring container."""


class EnvironmentVariable(ApiType):
    """An environment variable."""

    rules = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            message="a variable has value or valueFrom, not both: remove one of them",
            is_valid=lambda variable: variable.value is None or variable.value_from is None,
        ),
    )

    name: VariableName
    """Name of the variable."""
    value: Annotated[str, StringConstraints(max_length=32768)] | None = None
    """Value of the variable. Each user who may read the Service can read the value: put passwords into a
    Secret. Default: empty."""
    value_from: VariableSource | None = None
    """Source of the value."""


class ObjectSource(ApiType):
    """A Secret or ConfigMap in the namespace of the Service, each key of which becomes a variable."""

    name: ObjectName
    """Name of the object."""
    optional: Boolean | None = None
    """If true, a pod starts without the object if it is missing. Default: false."""


class EnvironmentSource(ApiType):
    """A Secret or ConfigMap, each key of which becomes a variable."""

    rules = (
        exactly_one(
            "envFrom must have exactly one of secretRef and configMapRef", "secretRef", "configMapRef"
        ),
    )

    prefix: Prefix | None = None
    """Text before each key in the names of variables."""
    secret_ref: ObjectSource | None = None
    """A Secret."""
    config_map_ref: ObjectSource | None = None
    """A ConfigMap."""


Environment = Annotated[
    tuple[EnvironmentVariable, ...],
    Field(max_length=100),
    unique("name", "the variables must have different names: two variables have the same name"),
]
EnvironmentSources = Annotated[tuple[EnvironmentSource, ...], Field(max_length=20)]
