"""The limit of a pod to nodes of the architectures that its image is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelyard.kube.types import Json

ARCHITECTURE: Final = "kubernetes.io/arch"
"""https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-arch"""
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


def limit_architectures(selector: Json, affinity: Json, architectures: Sequence[str]) -> tuple[Json, Json]:
    """Return a node selector and an affinity, limited to nodes of the architectures of an image.

    The selector may choose one of several architectures. Another architecture in the selector is replaced,
    since such a pod would only crash. Several need an affinity: a selector has one value for each key.
    Without architectures, both stay as they are.
    """
    chosen = selector.get(ARCHITECTURE)
    remaining = [chosen] if chosen in architectures else sorted(architectures)
    if not remaining:
        return selector, affinity
    if len(remaining) == 1:
        return selector | {ARCHITECTURE: remaining[0]}, affinity
    others = {key: value for key, value in selector.items() if key != ARCHITECTURE}
    return others, _limited(affinity, {"key": ARCHITECTURE, "operator": "In", "values": remaining})


def architectures_of(pod: Json) -> tuple[str, ...]:
    """Return the architectures to which the spec of a pod is limited, empty without a limit."""
    if chosen := pod.get("nodeSelector", {}).get(ARCHITECTURE):
        return (chosen,)
    limits = [_architectures_of_term(term) for term in _terms(pod.get("affinity") or {}) if term]
    common = set.intersection(*limits) if limits else set()
    return min(common, default=())


def _limited(affinity: Json, requirement: Json) -> Json:
    """Return an affinity with a requirement in each term: the terms are alternatives.

    An empty term stays, since it matches no node:
    https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity.
    """
    terms = [_with_requirement(term, requirement) if term else term for term in _terms(affinity)]
    node = affinity.get("nodeAffinity") or {}
    required = {"nodeSelectorTerms": terms or [{"matchExpressions": [requirement]}]}
    return affinity | {"nodeAffinity": node | {_REQUIRED: required}}


def _with_requirement(term: Json, requirement: Json) -> Json:
    expressions = term.get("matchExpressions") or []
    return term if requirement in expressions else term | {"matchExpressions": [*expressions, requirement]}


def _terms(affinity: Json) -> list[Json]:
    required = (affinity.get("nodeAffinity") or {}).get(_REQUIRED) or {}
    return list(required.get("nodeSelectorTerms") or ())


def _architectures_of_term(term: Json) -> set[tuple[str, ...]]:
    return {
        tuple(item.get("values") or ())
        for item in term.get("matchExpressions") or ()
        if item["key"] == ARCHITECTURE and item["operator"] == "In"
    }
