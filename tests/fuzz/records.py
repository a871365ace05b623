"""Data and annotations of ControllerRevisions: no crash, and no name that leads to another path."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator
from typing import Any, Final

from tests.fuzz.tally import Tally

from modelyard.api import labels
from modelyard.api.kinds import KINDS
from modelyard.api.names import is_object_name
from modelyard.api.record_input import content_problem, parse_content, valid_annotations
from modelyard.kube.errors import KubeError
from modelyard.kube.types import REVISIONS, SECRETS

_SOURCE: Final[dict[str, Any]] = {
    "url": "s3://bucket/key",
    "secretRef": {"name": "store"},
    "digest": f"sha256:{'0' * 64}",
    "unpack": True,
}
_SAMPLES: Final[dict[str, dict[str, Any]]] = {
    "Model": {**_SOURCE, "mimeType": "application/json"},
    "Manifest": {
        "driverProgram": "driver",
        "assets": [{"id": "driver", **_SOURCE}, {"id": "b", "content": "x"}],
        "modelIds": ["m:1", "n"],
        "targetRuntime": {"runtimeType": "Python", "properties": {"pipRequirements": "requirements"}},
    },
    "Image": {"manifestId": "m:1", "imageType": "Docker"},
    "Service": {"imageId": "m:1", "numReplicas": 1, "autoScaler": {"minReplicas": 1, "maxReplicas": 3}},
}
_VALUES: Final = (
    "../../kube-system/secrets/admin",
    "%2e%2e/%2e%2e/x",
    "x?watch=1",
    "x#y",
    "a/b",
    "..",
    ".",
    "",
    "M",
    "m:0",
    "m:" + "9" * 5000,
    "m:1\n",
    "\u202em",
    "a" * 254,
    "m\0",
    None,
    True,
    0,
    -1,
    2**63,
    1e308,
    [],
    {},
    [[[[]]]],
    {"name": {"name": "x"}},
)
_ANNOTATIONS: Final = (
    labels.STATE,
    labels.ENDED,
    labels.ERROR,
    labels.ATTEMPTS,
    labels.IMAGE_LOCATION,
    labels.BUILD_LOG,
    labels.ABOUT,
    "other",
)
_TEXTS: Final = (
    *(value for value in _VALUES if isinstance(value, str)),
    "Succeeded",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00",
    "9999-99-99",
    "{}",
    "[" * 100_000,
    '{"code": "x", "message": 1}',
    f"r.example/m@sha256:{'0' * 64}",
    f"r.example/../m@sha256:{'0' * 64}\n",
    "\u0661",
)


def run(tally: Tally, inputs: int, seed: int) -> None:
    """Validate records of all kinds, most of them with some changed values."""
    chance = random.Random(seed)
    for _ in range(inputs):
        kind = chance.choice(KINDS)
        data: Any = copy.deepcopy(_SAMPLES[kind.name])
        for _ in range(chance.randrange(4)):
            data = _changed(chance, data)
        annotations = {key: chance.choice(_TEXTS) for key in chance.sample(_ANNOTATIONS, 2)}
        tally.inputs += 1
        started = time.process_time()
        try:
            if not content_problem(kind, data):
                _check(tally, parse_content(kind, data))
            name = valid_annotations(annotations).get(labels.BUILD_LOG)
            if name is not None and not is_object_name(name):
                tally.escape(annotations, "an annotation with a path")
            _check_path(tally, chance.choice(_TEXTS))
        except BaseException as error:
            tally.crash((kind.name, data, annotations), error)
        tally.check_time(data, started)


def _check(tally: Tally, content: Any) -> None:
    """Record valid content with a name of an object that Kubernetes does not accept."""
    for key, value in _fields(content):
        names = value if isinstance(value, list) else [value]
        if key in {"manifestId", "imageId", "modelIds"}:
            names = [name.partition(":")[0] for name in names]
        elif key == "secretRef":
            names = [value["name"]]
        elif key != "serviceAccountName":
            continue
        if not all(map(is_object_name, names)):
            tally.escape(content, "a name with a path")


def _check_path(tally: Tally, name: str) -> None:
    """Record a name that leads to another path of the API server."""
    for resource in (SECRETS, REVISIONS):
        try:
            path = resource.path("default", name)
        except (KubeError, ValueError):
            continue
        if path.count("/") != resource.path("default", "x").count("/") or {"?", "#"} & set(path):
            tally.escape(name, "another path")


def _fields(content: Any) -> Iterator[tuple[str, Any]]:
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield str(key), value
        if isinstance(value, dict | list):
            yield from _fields(value)


def _changed(chance: random.Random, data: Any) -> Any:
    """Return the data with one value, at any depth, that is replaced, removed or added."""
    if not isinstance(data, dict | list) or not data or chance.random() < 0.05:
        return copy.deepcopy(chance.choice(_VALUES))
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    key = chance.choice(keys)
    if chance.random() < 0.6:
        data[key] = _changed(chance, data[key])
    elif isinstance(data, dict) and chance.random() < 0.5:
        data[chance.choice(("secretRef", "serviceAccountName", "registration", "x"))] = chance.choice(_VALUES)
    else:
        del data[key]
    return data
