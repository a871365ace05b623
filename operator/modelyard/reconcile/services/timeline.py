"""The timeline of a Service's version: from the change that made the version to its first answer.

The times are written only together with other fields of the status, so they cost no write.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from modelyard.api import labels
from modelyard.api.conditions import true_since
from modelyard.api.kinds import IMAGE
from modelyard.api.revision import Revision
from modelyard.api.status import State
from modelyard.kube.errors import KubeError
from modelyard.kube.types import PODS, Json, Key
from modelyard.metrics import FIRST_ANSWER_SECONDS
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Outcome
from modelyard.reconcile.resolution import recorded_reference
from modelyard.reconcile.services.rollout_outcome import was_rolled_out
from modelyard.reconcile.timestamps import format_timestamp, parse_timestamp
from modelyard.resources.pod_template import CONTAINER

_LOG: Final = logging.getLogger(__name__)
_MAX_EXEMPLAR: Final = (
    128  # characters of names and values: https://prometheus.io/docs/specs/om/open_metrics_spec/
)


async def service_timeline(
    ctx: Context, obj: CustomObject, outcome: Outcome, revision: Revision, rollout: RolloutStatus
) -> Json:
    """Return the timeline of a version without `ready`, which the status has as `endTime`.

    A version that an earlier release rolled out has an empty timeline.
    """
    timeline: Json = {}
    if obj.status.get("version") == revision.version:
        timeline = {key: time for key, time in obj.status.get("timeline", {}).items() if key != "ready"}
    if not timeline:
        if was_rolled_out(obj, revision):
            return {}
        timeline = {"seen": _seen(ctx, obj, revision)}
    follows_deployment = outcome.state in {State.RUNNING, State.SUCCEEDED}
    if "firstAnswer" in timeline or not (follows_deployment and _answers(rollout)):
        return timeline
    return timeline | await _pod_times(ctx, obj, revision)


def _seen(ctx: Context, obj: CustomObject, revision: Revision) -> str:
    """Return the time at which the operator saw the change that made a version.

    The version of a Service that follows an Image is recorded after the build. The Service has waited since
    the operator recorded the Image's version, and its condition Ready has been False for that time.
    """
    image_id = next(iter(revision.references), "")
    image = recorded_reference(ctx.cache, IMAGE, revision, image_id) if image_id else None
    ready = obj.condition("Ready")
    if image is None or ready is None or ready["status"] == "True":
        return revision.created
    is_edited = obj.status.get("observedGeneration") != obj.generation
    if is_edited or obj.status.get("imageId") == image.id:
        return revision.created
    since: str = ready["lastTransitionTime"]
    return min(max(image.created, since), revision.created)


def _answers(rollout: RolloutStatus) -> bool:
    """Return True if a replica of the present pod template is ready: more are ready than there are others."""
    is_observed = 0 < rollout.generation == rollout.observed
    return is_observed and rollout.ready > rollout.replicas - rollout.updated


async def _pod_times(ctx: Context, obj: CustomObject, revision: Revision) -> Json:
    """Return the first start and the first readiness of the pods that a version has started.

    A version that changes only replicas starts no pods of its own: it answers as soon as it is rolled out.
    """
    selector = labels.selector_of(obj.key.name) | {labels.POD_VERSION: str(revision.version)}
    pods: list[Json] = []
    try:
        query = {"labelSelector": labels.text_of(selector)}
        pods = await ctx.client.list_all(PODS, obj.key.namespace, **query)
    except KubeError as error:
        _LOG.warning("%s: cannot read the start of its pods: %s", obj.key, error)
    started = [time for pod in pods if (time := _started(pod))]
    answered = [time for pod in pods if (time := true_since("Ready", pod.get("status", {})))]
    first_answer = min(answered, default=format_timestamp(ctx.now()))
    return {"firstAnswer": first_answer} | ({"pulled": min(started)} if started else {})


def _started(pod: Json) -> str | None:
    """Return the time at which the scoring container of a pod started, None before."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        if container["name"] == CONTAINER:
            started: str | None = container["state"].get("running", {}).get("startedAt")
            return started
    return None


def measure_first_answer(key: Key, before: Json, after: Json) -> None:
    """Add the first answer of a version to the histogram, if a status has it for the first time.

    A label for each version would grow without bound. The label `change` is `new` for a first version,
    `image` for one that waited for an image, and `service` for the others. Exemplars name the versions.
    """
    timeline = after.get("timeline", {})
    is_same = before.get("version") == after.get("version")
    if "firstAnswer" not in timeline or (is_same and "firstAnswer" in before.get("timeline", {})):
        return
    waited: dt.timedelta = parse_timestamp(timeline["firstAnswer"]) - parse_timestamp(timeline["seen"])
    change = "service" if timeline["seen"] == after["createdTime"] else "image"
    exemplar = {"namespace": key.namespace, "service": key.name, "version": str(after["version"])}
    is_short = sum(len(name) + len(value) for name, value in exemplar.items()) <= _MAX_EXEMPLAR
    FIRST_ANSWER_SECONDS.labels(change="new" if after["version"] == 1 else change).observe(
        max(waited.total_seconds(), 0.0), exemplar if is_short else None
    )
