"""The nodes of the pods of a Service: tolerations, affinity and spread."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from modelyard.api.base import INTEGER, ApiType
from modelyard.api.pod.shapes import LabelKey, LabelMap, LabelValue
from modelyard.api.rules import Rule

_WITH_VALUES: Final = ("In", "NotIn", "Gt", "Lt")
_VALUES_RULE: Final = Rule(
    cel=f"(self.operator in [{', '.join(map(repr, _WITH_VALUES))}])"
    " == (has(self.values) && size(self.values) > 0)",
    message="values is required with the operators In, NotIn, Gt and Lt, and not allowed with others",
    is_valid=lambda item: (item.operator in _WITH_VALUES) == bool(item.values),
)
# The values have no rule: nested as deep as they are, their rules alone would exceed the cost limit of a CRD.
Values = Annotated[tuple[Annotated[str, StringConstraints(max_length=63)], ...], Field(max_length=50)]
Weight = Annotated[int, Field(ge=1, le=100), INTEGER]


class Toleration(ApiType):
    """A taint of nodes that the pods tolerate."""

    rules = (
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="a toleration without key must have the operator Exists",
            is_valid=lambda item: item.key is not None or item.operator == "Exists",
        ),
        Rule(
            cel="!(has(self.operator) && self.operator == 'Exists') || !has(self.value) || self.value == ''",
            message="a toleration with the operator Exists must have no value",
            is_valid=lambda item: item.operator != "Exists" or not item.value,
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds is only allowed with the effect NoExecute",
            is_valid=lambda item: item.toleration_seconds is None or item.effect == "NoExecute",
        ),
    )

    key: LabelKey | None = None
    """Key of the taint. Default: every key."""
    operator: Literal["Exists", "Equal"] | None = None
    """Comparison with the taint. Default: Equal."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Default: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2**32), INTEGER] | None = None
    """Seconds until a pod on a node with the taint is evicted. Default: never."""


class NodeRequirement(ApiType):
    """A condition on a label or field of nodes."""

    rules = (_VALUES_RULE,)

    key: LabelKey
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """Comparison with the values."""
    values: Values = ()
    """Values to compare with."""


Requirements = Annotated[tuple[NodeRequirement, ...], Field(max_length=20)]


class NodeTerm(ApiType):
    """Conditions on a node, all of which must hold."""

    match_expressions: Requirements = ()
    """Conditions on labels."""
    match_fields: Requirements = ()
    """Conditions on fields, such as metadata.name."""


class NodeSelection(ApiType):
    """Terms, one of which a node must match."""

    node_selector_terms: Annotated[tuple[NodeTerm, ...], Field(min_length=1, max_length=10)]
    """Terms, one of which a node must match."""


class PreferredNodes(ApiType):
    """Nodes that are preferred."""

    weight: Weight
    """Weight of the term, 1 to 100."""
    preference: NodeTerm
    """Conditions on the nodes."""


class NodeAffinity(ApiType):
    """Nodes on which the pods may, or should, run."""

    required_during_scheduling_ignored_during_execution: NodeSelection | None = None
    """Nodes on which the pods may run."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNodes, ...], Field(max_length=10)
    ] = ()
    """Nodes on which the pods should run."""


class LabelRequirement(ApiType):
    """A condition on a label."""

    rules = (_VALUES_RULE,)

    key: LabelKey
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """Comparison with the values."""
    values: Values = ()
    """Values to compare with."""


class LabelSelector(ApiType):
    """A selection of objects by their labels."""

    match_labels: LabelMap | None = None
    """Labels that an object must have."""
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=20)] = ()
    """Conditions on labels."""


LabelKeys = Annotated[tuple[LabelKey, ...], Field(max_length=10)]
Namespaces = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=63)], ...], Field(max_length=20)
]


class PodTerm(ApiType):
    """Other pods, near to or far from which the pods run."""

    label_selector: LabelSelector | None = None
    """Labels of the other pods."""
    namespaces: Namespaces = ()
    """Namespaces of the other pods. Default: that of the Service."""
    namespace_selector: LabelSelector | None = None
    """Labels of the namespaces of the other pods."""
    topology_key: LabelKey
    """Label of nodes. Pods on nodes with the same value are near to each other."""
    match_label_keys: LabelKeys = ()
    """Keys of labels of the pod itself, whose values the other pods must have, too."""


class PreferredPods(ApiType):
    """Other pods that are preferred."""

    weight: Weight
    """Weight of the term, 1 to 100."""
    pod_affinity_term: PodTerm
    """The other pods."""


class PodAffinity(ApiType):
    """Other pods, near to or far from which the pods must, or should, run."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodTerm, ...], Field(max_length=10)
    ] = ()
    """Terms that must hold."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPods, ...], Field(max_length=10)
    ] = ()
    """Terms that should hold."""


class Affinity(ApiType):
    """Nodes and other pods that attract or repel the pods."""

    node_affinity: NodeAffinity | None = None
    """Nodes on which the pods may, or should, run."""
    pod_affinity: PodAffinity | None = None
    """Other pods near to which the pods run."""
    pod_anti_affinity: PodAffinity | None = None
    """Other pods far from which the pods run."""


class TopologySpread(ApiType):
    """Spread of the pods over zones, nodes or other groups of nodes."""

    rules = (
        Rule(
            cel="!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            message="minDomains is only allowed with whenUnsatisfiable: DoNotSchedule",
            is_valid=lambda item: item.min_domains is None or item.when_unsatisfiable == "DoNotSchedule",
        ),
    )

    max_skew: Annotated[int, Field(ge=1, le=10000), INTEGER]
    """Maximum difference of the number of pods between two groups."""
    topology_key: LabelKey
    """Label of nodes. Nodes with the same value are one group."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """Treatment of a pod that would exceed maxSkew."""
    label_selector: LabelSelector | None = None
    """Labels of the pods to count. Default: those of the Service."""
    min_domains: Annotated[int, Field(ge=1, le=10000), INTEGER] | None = None
    """Minimum number of groups."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Honor: only nodes that affinity and nodeSelector allow count. Default: Honor."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Honor: only nodes whose taints the pods tolerate count. Default: Ignore."""
    match_label_keys: LabelKeys = ()
    """Keys of labels of the pod itself, whose values the counted pods must have, too."""
