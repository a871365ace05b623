"""Limits of the platform on `spec.pod` of Services (`scoring.pod` of the chart)."""

from __future__ import annotations

from typing import Any, Final

from modelyard.api.pod.settings import PodSettings
from modelyard.resources.pod_settings import to_json
from modelyard.settings import EVERY_NAME, PodPolicySettings

NOT_ALLOWED: Final = "PodSettingsNotAllowed"
_ROOT: Final = "spec.pod"
_VALUES: Final = "scoring.pod"


def policy_problem(pod: PodSettings | None, policy: PodPolicySettings) -> str:
    """Return the sentence about the first setting that the platform does not allow, empty without one."""
    if pod is None:
        return ""
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
