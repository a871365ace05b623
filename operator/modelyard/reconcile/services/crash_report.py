"""Diagnosis of the pods of a Service, and the error with the end of the log of a crashed pod."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.api.status import ErrorDetail, ErrorResponse
from modelyard.kube.errors import KubeError
from modelyard.kube.types import DEPLOYMENTS, PODS, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.pod_diagnosis import Diagnosis, diagnose_pods
from modelyard.reconcile.rollout import RolloutAssessment
from modelyard.reconcile.services.mount_report import diagnose_mounts
from modelyard.reconcile.timestamps import parse_timestamp
from modelyard.resources import serving

_LOG_LINES: Final = 20


async def diagnose(ctx: Context, obj: CustomObject, revision: Revision) -> Diagnosis | None:
    """Diagnose the pods of the Deployment's present template."""
    selector = labels.text_of(labels.selector_of(obj.key.name))
    pods = await ctx.client.list_all(PODS, obj.key.namespace, labelSelector=selector)
    # An older release may have built the template, so its hash cannot be computed here.
    deployment = await ctx.client.get(DEPLOYMENTS, obj.key.namespace, obj.key.name)
    template_hash = serving.template_hash(deployment)
    present = [pod for pod in pods if _has_template(pod, template_hash)]
    found = diagnose_pods(present, parse_timestamp(revision.created))
    return found or await diagnose_mounts(ctx, obj.key.namespace, present)


def _has_template(pod: Json, template_hash: str) -> bool:
    annotations: Json = pod["metadata"].get("annotations", {})
    return annotations.get(labels.TEMPLATE_HASH) == template_hash


async def rollout_error(
    ctx: Context, obj: CustomObject, assessment: RolloutAssessment, diagnosis: Diagnosis | None
) -> ErrorResponse:
    """Return the error of a failed rollout; after a crash its details have the end of the pod's log."""
    details: Iterable[ErrorDetail] = ()
    if diagnosis and diagnosis.crashed:
        reported = obj.status.get("error", {})
        if reported.get("message") == assessment.message and reported.get("details"):
            return ErrorResponse.model_validate(reported)
        log = await _last_log(ctx, obj.key.namespace, diagnosis)
        details = [ErrorDetail(code="Log", message=log)] if log else ()
    return ErrorResponse(
        code=assessment.reason, message=assessment.message, status_code=500, details=tuple(details)
    )


async def _last_log(ctx: Context, namespace: str, diagnosis: Diagnosis) -> str:
    """Return the last lines of the crashed container's log, of the present one if there is no other."""
    for previous in ("true", "false"):
        with contextlib.suppress(KubeError):
            log = await ctx.client.log(
                namespace,
                diagnosis.pod,
                container=diagnosis.container,
                tailLines=str(_LOG_LINES),
                previous=previous,
            )
            if log:
                return log
    return ""
