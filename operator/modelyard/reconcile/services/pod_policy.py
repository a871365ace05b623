"""Limits of the platform on `spec.pod` of Services (`scoring.pod` of the chart)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from modelyard.api.pod.settings import PodSettings
from modelyard.resources.pod_settings import to_json
from modelyard.settings import EVERY_NAME, OperatorSettings

NOT_ALLOWED: Final = "PodSettingsNotAllowed"
_ROOT: Final = "spec.pod"
_VALUES: Final = "scoring.pod"


def policy_problem(pod: PodSettings | None, platform: OperatorSettings) -> str:
    """Return the sentence about the first setting that the platform does not allow, empty without one."""
    if pod is None:
        return ""
    policy, destination = platform.scoring.pod, platform.data_collection.secret_name
    for path, secret in _secrets(pod):
        if secret == destination:
            return (
                f"{_ROOT}.{path} must not read the Secret {secret}: it has the credentials of data collection"
                " (dataCollection.secretName). Put the values of the driver into another Secret"
            )
    settings = to_json(pod)
    for path in policy.denied_fields:
        if _sets(settings, path):
            return f"{_ROOT}.{path} must not be set: the platform denies this field ({_VALUES}.deniedFields)"
    for field, allowed in (
        ("priorityClassName", policy.priority_class_names),
        ("runtimeClassName", policy.runtime_class_names),
        ("serviceAccountName", policy.service_account_names),
    ):
        name = settings.get(field)
        if name and EVERY_NAME not in allowed and name not in allowed:
            names = ", ".join(allowed) or "none"
            return f"{_ROOT}.{field} must not be {name}: the platform allows {names} ({_VALUES}.{field}s)"
    return ""


def _secrets(pod: PodSettings) -> Iterator[tuple[str, str]]:
    """Yield the field and the name of each Secret that the driver reads."""
    for source in pod.env_from:
        if source.secret_ref:
            yield "envFrom.secretRef", source.secret_ref.name
    for variable in pod.env:
        if variable.value_from and variable.value_from.secret_key_ref:
            yield "env.valueFrom.secretKeyRef", variable.value_from.secret_key_ref.name
    for volume in pod.volumes:
        if volume.secret:
            yield "volumes.secret", volume.secret.secret_name
        for part in volume.projected.sources if volume.projected else ():
            if part.secret:
                yield "volumes.projected.sources.secret", part.secret.name


def _sets(settings: Any, path: str) -> bool:
    """Return whether settings have a value at a path, such as `env.valueFrom` or `resources.limits`."""
    if isinstance(settings, list):
        return any(_sets(item, path) for item in settings)
    if not isinstance(settings, dict):
        return False
    if path in settings:  # names of resources have dots
        return True
    field, _, rest = path.partition(".")
    return bool(rest) and _sets(settings.get(field), rest)
