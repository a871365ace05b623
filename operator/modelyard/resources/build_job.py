"""The Job of a build in the operator's namespace, and the Secret with its request."""

from __future__ import annotations

import base64
import gzip
from typing import Final

from modelyard.api import labels
from modelyard.contract.build_pod import CONTAINER, EXIT_FAILED, REQUEST_FILE
from modelyard.contract.build_request import BuildRequest
from modelyard.kube.types import JOBS, SECRETS, Json
from modelyard.resources.build_pod import BuildAttempt, build_pod
from modelyard.settings import OperatorSettings

_LOST_PODS: Final = 2  # pods that may disappear, with their node for example, before the Job fails


def build_job(build: BuildAttempt, settings: OperatorSettings) -> Json:
    """Return the Job. It fails when the builder reports an error; it replaces a lost pod."""
    return {
        **JOBS.header(),
        "metadata": {"name": build.name, "labels": _labels(), "annotations": _annotations(build)},
        "spec": {
            "backoffLimit": _LOST_PODS,
            "activeDeadlineSeconds": settings.build.deadline_seconds,
            "ttlSecondsAfterFinished": settings.build.ttl_seconds_after_finished,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": CONTAINER,
                            "operator": "In",
                            "values": [EXIT_FAILED],
                        },
                    },
                ]
            },
            "template": {
                "metadata": {
                    "labels": settings.build.pod_labels | _labels(),
                    "annotations": _annotations(build),
                },
                "spec": build_pod(build, settings),
            },
        },
    }


def packed_request(request: BuildRequest) -> bytes:
    """Return a build request as compressed JSON."""
    return gzip.compress(request.model_dump_json(by_alias=True, exclude_defaults=True).encode(), mtime=0)


def request_secret(build: BuildAttempt, job_uid: str, packed: bytes) -> Json:
    """Return the Secret with a packed request, which contains credentials. It is deleted with its Job."""
    return {
        **SECRETS.header(),
        "metadata": {
            "name": build.name,
            "labels": _labels(),
            "ownerReferences": [{**JOBS.header(), "name": build.name, "uid": job_uid, "controller": True}],
        },
        "type": "modelyard.dev/build-request",
        "immutable": True,
        "data": {REQUEST_FILE: base64.b64encode(packed).decode()},
    }


def _labels() -> Json:
    return {labels.MANAGED_BY: labels.MANAGER, labels.COMPONENT: labels.BUILD}


def _annotations(build: BuildAttempt) -> Json:
    return {
        labels.BUILD_IMAGE: build.image,
        labels.BUILD_VERSION: str(build.version),
        labels.BUILD_ATTEMPT: str(build.attempt),
        labels.BUILD_REFERENCE: build.reference,
    }
