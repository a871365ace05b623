"""Builders of the children of a Service: Deployment, core Service, budget and Secret.

All children have the name of the Service, except for the Secret with its keys.
"""

from __future__ import annotations

from modelyard.api import labels
from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import CORE_SERVICES, DEPLOYMENTS, DISRUPTION_BUDGETS, SECRETS, Json
from modelyard.resources.pod_template import PodOrigin, ScoringImage, mark_origin, pod_template
from modelyard.resources.revision import metadata
from modelyard.scoring.contract import SCORE_PATH
from modelyard.settings import DataCollectionSettings, ScoringSettings


def deployment(
    owner: Owner,
    spec: ServiceSpec,
    image: ScoringImage,
    scoring: ScoringSettings,
    collection: DataCollectionSettings | None = None,
) -> Json:
    """Return the Deployment. Without numReplicas it has no `replicas`, which the autoscaler sets."""
    deployment_spec: Json = {
        "selector": {"matchLabels": labels.selector_of(owner.name)},
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": scoring.progress_deadline_seconds,
        # A new pod must be ready before an old one is deleted, so that no request is lost.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": pod_template(owner, spec, image, scoring, collection),
    }
    if spec.num_replicas is not None:
        deployment_spec["replicas"] = spec.num_replicas
    return {
        **DEPLOYMENTS.header(),
        "metadata": metadata(owner, owner.name),
        "spec": deployment_spec,
    }


def with_origin(deployment: Json, origin: PodOrigin) -> Json:
    """Return a copy of a Deployment whose pods have the marks of an origin."""
    template = mark_origin(deployment["spec"]["template"], origin)
    return deployment | {"spec": deployment["spec"] | {"template": template}}


def template_hash(deployment: Json) -> str:
    """Return the hash of a Deployment's pod template, which is an annotation of its pods."""
    return str(deployment["spec"]["template"]["metadata"]["annotations"][labels.TEMPLATE_HASH])


def core_service(owner: Owner) -> Json:
    """Return the core Service, which listens on port 80."""
    return {
        **CORE_SERVICES.header(),
        "metadata": metadata(owner, owner.name),
        "spec": {
            "type": "ClusterIP",
            "selector": labels.selector_of(owner.name),
            "ports": [{"name": labels.PORT_NAME, "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }


def scoring_uri(name: str, namespace: str, scoring: ScoringSettings) -> str:
    """Return the URL for scoring requests from inside the cluster."""
    return f"http://{name}.{namespace}.svc.{scoring.cluster_domain}{SCORE_PATH}"


def disruption_budget(owner: Owner) -> Json:
    """Return the PodDisruptionBudget: a node drain evicts one ready replica at a time.

    A replica that is not ready may always be evicted. Otherwise two broken replicas would block a drain.
    https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
    """
    return {
        **DISRUPTION_BUDGETS.header(),
        "metadata": metadata(owner, owner.name),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels.selector_of(owner.name)},
        },
    }


def keys(owner: Owner) -> Json:
    """Return the Secret of the access keys, without data: keys are random, and stay once they exist."""
    return {
        **SECRETS.header(),
        "metadata": metadata(owner, labels.keys_name(owner.name)),
        "type": "Opaque",
    }
