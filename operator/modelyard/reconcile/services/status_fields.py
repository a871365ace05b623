"""Status fields and conditions of a Service."""

from __future__ import annotations

from typing import Any

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Condition
from modelyard.reconcile.rollout import REFUSED
from modelyard.reconcile.services.served_image import recorded_image, recorded_manifest
from modelyard.reconcile.services.sleep import Sleep, sleep_conditions
from modelyard.resources import serving
from modelyard.scoring.contract import SCORE_PATH
from modelyard.settings import ScoringSettings


def status_fields(
    ctx: Context,
    obj: CustomObject,
    spec: ServiceSpec,
    revision: Revision,
    rollout: RolloutStatus,
    url: str | None,
) -> dict[str, Any]:
    """Return the status fields of Services: URLs, replicas, and the ids that the version serves.

    `url` is the public URL, None while the data plane does not serve it.
    """
    internal = serving.scoring_uri(obj.key.name, obj.key.namespace, ctx.settings.scoring)
    image = recorded_image(ctx, revision)
    manifest = recorded_manifest(ctx, image) if image else None
    return {
        "url": url,
        "scoringUri": f"{url}{SCORE_PATH}" if url else internal,
        "replicas": rollout.desired if rollout.observed else spec.min_replicas,
        "readyReplicas": rollout.ready,
        "selector": labels.text_of(labels.selector_of(obj.key.name)),
        "imageLocation": image.location if image else None,
        "imageId": next(iter(revision.references), ""),
        "manifestId": image.references[0] if image else None,
        "modelIds": list(manifest.references) if manifest else [],
    }


def conditions(
    spec: ServiceSpec, rollout: RolloutStatus, scoring: ScoringSettings, sleep: Sleep = Sleep.AWAKE
) -> dict[str, Condition]:
    """Return the conditions of a Service beside Ready, by type. `scoring` has the platform's settings."""
    by_type: dict[str, Condition] = {"Available": (False, "NoReplica", "no replica serves")}
    if rollout.available > 0:
        by_type["Available"] = (True, "ReplicaAvailable", "at least one replica serves")
    if rollout.refused:
        # An autoscaled Service may be Ready with fewer replicas than its autoscaler asks for.
        by_type["ReplicaFailure"] = (True, REFUSED, rollout.refused)
    if spec.pauses_autoscaler:
        by_type["Autoscaling"] = (
            False,
            "FixedReplicas",
            f"numReplicas {spec.num_replicas} disables the autoscaler: remove numReplicas to enable it again",
        )
    by_type |= sleep_conditions(spec, scoring, sleep)
    if spec.app_insights_enabled and not scoring.sends_traces:
        by_type["AppInsights"] = (
            False,
            "NotOffered",
            "appInsightsEnabled has no effect: the chart sets neither scoring.otlpEndpoint nor"
            " scoring.appInsights.secretName",
        )
    return by_type
