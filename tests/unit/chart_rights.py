"""The rights that the chart gives the operator, as rules of its Roles."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import yaml

_TEMPLATE: Final = Path(__file__).parents[2] / "charts" / "modelyard" / "templates" / "rbac-operator.yaml"
_DEFINITION: Final = re.compile(
    r'define "modelyard.operatorRules" }}\n(.*?){{- end }}\n{{- end }}', re.DOTALL
)
_GATEWAY: Final = re.compile(r'define "modelyard.gatewayRules" }}\n(.*?){{- end }}\n{{-', re.DOTALL)
_OWN_NAMESPACE: Final = re.compile(r"name: {{ \$name }}-builds\n.*?\nrules:\n(.*?)\n---", re.DOTALL)
_ACTIONS: Final = re.compile(r"^ *{{.*?}} *$\n?", re.MULTILINE)


class Right(NamedTuple):
    """A verb on a resource or subresource, as `plural.group` or `plural.group/subresource`."""

    verb: str
    resource: str


@cache
def rights(*, own_namespace: bool) -> frozenset[Right]:
    """Return the operator's rights in the namespaces of users, or those in its own namespace."""
    return _rights_of(_OWN_NAMESPACE if own_namespace else _DEFINITION)


@cache
def gateway_rights() -> frozenset[Right]:
    """Return the operator's rights in the namespace of the Gateway."""
    return _rights_of(_GATEWAY)


def _rights_of(rules: re.Pattern[str]) -> frozenset[Right]:
    found = rules.search(_TEMPLATE.read_text(encoding="utf-8"))
    assert found, _TEMPLATE
    return frozenset(
        Right(verb, qualified(resource, group))
        for rule in yaml.safe_load(_ACTIONS.sub("", found[1]))
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def qualified(resource: str, group: str) -> str:
    """Return `plural.group/subresource` of a resource in a rule, such as `models/status`."""
    plural, slash, subresource = resource.partition("/")
    return f"{plural}.{group}".rstrip(".") + slash + subresource
