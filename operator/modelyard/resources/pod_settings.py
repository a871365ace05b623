"""Settings of the pods of a Service: defaults of the platform, `spec.pod`, and required settings.

The settings have the names and shapes of `spec.pod`. Maps are merged by key, and lists by the key of their
items in Kubernetes. Of two values of one key, `spec.pod` overrides the default, and the required one
overrides both.
"""

from __future__ import annotations

from typing import Any, Final

from modelyard.api.base import ApiType
from modelyard.api.pod.settings import PodSettings
from modelyard.kube.types import Json
from modelyard.settings import ScoringSettings

# Items of other lists have no key: both lists count, that of the platform first.
_KEYS: Final = {
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
}
_MAPS: Final = frozenset({"labels", "annotations", "nodeSelector", "limits", "requests", "matchLabels"})


def effective_settings(pod: PodSettings | None, scoring: ScoringSettings) -> Json:
    """Return the settings of pods in the shape of `spec.pod`, without empty fields."""
    settings = _defaults(scoring)
    for layer in (pod, scoring.pod.required):
        if layer is not None:
            settings = _overlaid(settings, without_empty(to_json(layer)))
    return {name: value for name, value in settings.items() if value}


def to_json(settings: ApiType) -> Json:
    """Return the fields that are set, with the names of Kubernetes."""
    return settings.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def _defaults(scoring: ScoringSettings) -> Json:
    return {
        "nodeSelector": scoring.node_selector,
        "tolerations": list(scoring.tolerations),
        "topologySpreadConstraints": list(scoring.topology_spread_constraints),
        "priorityClassName": scoring.priority_class_name,
        "runtimeClassName": scoring.runtime_class_name,
        "imagePullSecrets": [{"name": name} for name in scoring.image_pull_secrets],
        "resources": {"limits": scoring.limits},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": scoring.run_as_user,
            "runAsGroup": scoring.run_as_user,
            "fsGroup": scoring.run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _overlaid(base: Json, over: Json) -> Json:
    """Return settings of which `over` has precedence."""
    result = dict(base)
    for name, value in over.items():
        current = base.get(name)
        if isinstance(value, list) and current:
            result[name] = _joined(current, value, _KEYS.get(name))
        elif isinstance(value, dict) and isinstance(current, dict) and name != "seccompProfile":
            result[name] = _overlaid(current, value)
        else:
            result[name] = value
    return result


def _joined(base: list[Json], over: list[Json], key: str | None) -> list[Json]:
    if key is None:
        return [*base, *(item for item in over if item not in base)]
    replaced = {item[key] for item in over}
    return [*(item for item in base if item[key] not in replaced), *over]


def without_empty(value: Any, *, is_map: bool = False) -> Any:
    """Return settings without fields that are false or an empty text.

    The API server omits them. A comparison with the live Deployment would find a difference each time. A map
    of a user's own keys keeps its empty values, as the API server does.
    """
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_empty(item, is_map=key in _MAPS)
        for key, item in value.items()
        if is_map or (item is not False and item != "")
    }
