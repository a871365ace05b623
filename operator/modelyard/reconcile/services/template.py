"""Pod template of a Service: it stays with its version until the version changes or the platform asks.

Another release of the operator, or other values of `scoring`, would build another pod template. A Deployment
therefore has the desired spec of its last write in an annotation. That spec stays the desired one as long as
the version takes the same image and resources. It is restored after a change by another client. Replicas are
not part of it. A Deployment that was deleted is created with the present template.
"""

from __future__ import annotations

from typing import Any

import orjson

from modelyard.api import labels
from modelyard.api.record_input import content_from
from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.kube.merge import fingerprint, replacement
from modelyard.kube.types import Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.services.rollout_outcome import was_rolled_out
from modelyard.reconcile.services.staged_rolls import begin_roll, follows_operator
from modelyard.resources import serving
from modelyard.resources.architecture import architectures_of
from modelyard.resources.limits import reservation
from modelyard.resources.pod_template import CONTAINER, ScoringImage, origin_of


def template_inputs(spec: ServiceSpec, image: str) -> str:
    """Return the hash of everything that a version, and not the operator, gives to its pods."""
    inputs: Json = {
        "image": image,
        "requests": reservation(spec),
        "concurrency": spec.max_concurrent_requests_per_container,
        "telemetry": spec.app_insights_enabled,
    }
    if spec.pod:  # a Service without these settings has the hash that older releases recorded
        inputs["pod"] = content_from(spec.pod)
    if spec.data_collection and spec.collects:
        inputs["collection"] = content_from(spec.data_collection)
    return fingerprint(inputs)


def applied_annotations(spec: ServiceSpec, image: str, deployment: Json) -> Json:
    """Return the annotations of a Deployment that let a later release find its template again."""
    annotations = {
        labels.APPLIED_SPEC: orjson.dumps(_without_replicas(deployment["spec"])).decode(),
        labels.TEMPLATE_INPUTS: template_inputs(spec, image),
    }
    return {"metadata": {"annotations": annotations}}


def removed_fields(live: Json, desired: Json) -> Json:
    """Return the patch that removes what a live Deployment was last written with and now lacks.

    A merge patch of the desired fields leaves others in place. Fields that other clients added stay.
    """
    recorded = _parse(live["metadata"].get("annotations", {}).get(labels.APPLIED_SPEC, ""))
    patch = replacement(recorded, _without_replicas(desired["spec"])) if recorded else {}
    return {"spec": patch} if patch else {}


def applied_image(live: Json) -> ScoringImage | None:
    """Return the image of the scoring container that a live Deployment was written with, None if unreadable.

    Another client may have changed the live spec, so the recorded spec is used if there is one.
    """
    recorded = live["metadata"].get("annotations", {}).get(labels.APPLIED_SPEC)
    spec = _parse(recorded) if recorded else live["spec"]
    location = _image_of(spec) if spec else None
    if spec is None or location is None:
        return None
    return ScoringImage(location, architectures_of(spec["template"]["spec"]))


def _image_of(spec: Json) -> str | None:
    """Return the image of the scoring container in the spec of a Deployment, None without this container."""
    containers = spec["template"]["spec"]["containers"]
    return next((item["image"] for item in containers if item["name"] == CONTAINER), None)


def kept_deployment(
    ctx: Context,
    obj: CustomObject,
    spec: ServiceSpec,
    revision: Revision,
    image: str,
    live: Json,
    present: Json,
) -> Json:
    """Return the desired Deployment for a live one: with the template of its version, or the present one.

    `present` is the Deployment that this release builds with its settings.
    """
    kept = _kept_spec(obj, spec, revision, image, live)
    if kept is None:
        return present
    if serving.template_hash({"spec": kept}) == serving.template_hash(present):
        return serving.with_origin(present, origin_of(kept["template"]))
    if follows_operator(ctx, obj) and begin_roll(ctx, obj.key):
        return present
    if "replicas" in present["spec"]:
        kept["replicas"] = present["spec"]["replicas"]
    return present | {"spec": kept}


def _kept_spec(
    obj: CustomObject, spec: ServiceSpec, revision: Revision, image: str, live: Json
) -> Json | None:
    """Return the spec that a live Deployment was written from, None if it belongs to another version.

    Releases up to 0.2.0 did not record the spec. The live spec of such a Deployment becomes the recorded one
    if its version was rolled out.
    """
    annotations = live["metadata"].get("annotations", {})
    if labels.APPLIED_SPEC in annotations:
        recorded = annotations.get(labels.TEMPLATE_INPUTS)
        if recorded != template_inputs(spec, image) and not _is_of_older_release(
            obj, spec, revision, image, recorded
        ):
            return None
        return _parse(annotations[labels.APPLIED_SPEC])
    if not was_rolled_out(obj, revision) or not _runs(live, image):
        return None
    return _without_replicas(live["spec"])


def _is_of_older_release(
    obj: CustomObject, spec: ServiceSpec, revision: Revision, image: str, recorded: str | None
) -> bool:
    """Return whether a release without data collection rolled a version with dataCollection out.

    That release accepted the field, and gave it no effect. An upgrade replaces no pods.
    """
    without = spec.model_copy(update={"data_collection": None})
    return spec.collects and was_rolled_out(obj, revision) and recorded == template_inputs(without, image)


def _parse(text: str) -> Json | None:
    """Return a recorded spec, None if another client made it unreadable."""
    try:
        spec: Any = orjson.loads(text)
        serving.template_hash({"spec": spec})
    except (ValueError, KeyError, TypeError):
        return None
    return _without_replicas(spec)


def _runs(live: Json, image: str) -> bool:
    annotations = live["spec"]["template"]["metadata"].get("annotations", {})
    return labels.TEMPLATE_HASH in annotations and _image_of(live["spec"]) == image


def _without_replicas(spec: Json) -> Json:
    """Return the spec of a Deployment without the fields that no template determines."""
    return {key: value for key, value in spec.items() if key not in {"replicas", "paused"}}
