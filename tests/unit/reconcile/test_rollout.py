"""The assessment of rollouts, as a table."""

from __future__ import annotations

import pytest

from modelyard.api.service import ServiceSpec
from modelyard.reconcile.objects import RolloutStatus
from modelyard.reconcile.pod_diagnosis import Diagnosis
from modelyard.reconcile.rollout import assess_rollout

FIXED = ServiceSpec(image_id="m", num_replicas=2)
NONE = ServiceSpec(image_id="m", num_replicas=0)
AUTOSCALED = ServiceSpec(image_id="m")
DONE = RolloutStatus(generation=3, observed=3, desired=2, replicas=2, updated=2, ready=2, available=2)
LATE = DONE._replace(available=1, overdue="too late")
REFUSED = DONE._replace(available=1, refused='pods "m-1" is forbidden: exceeded quota')
TERMINAL = Diagnosis("ImagePullFailed", "no image", "p", terminal=True)
SLOW = Diagnosis("Unschedulable", "no room", "p", terminal=False)


@pytest.mark.parametrize(
    ("rollout", "spec", "diagnosis", "expected"),
    [
        (DONE, FIXED, None, (True, False, "Serving")),
        (DONE, FIXED, TERMINAL, (True, False, "Serving")),
        (DONE, AUTOSCALED, None, (True, False, "Serving")),
        (DONE._replace(desired=3), AUTOSCALED, None, (False, False, "RollingOut")),
        (DONE._replace(desired=9), FIXED, None, (True, False, "Serving")),
        (DONE._replace(observed=2), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(updated=1), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(replicas=3), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(available=1), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(available=1), FIXED, SLOW, (False, False, "Unschedulable")),
        (DONE._replace(available=1), FIXED, TERMINAL, (False, True, "ImagePullFailed")),
        (LATE, FIXED, None, (False, True, "RolloutDeadlineExceeded")),
        (LATE, FIXED, SLOW, (False, True, "Unschedulable")),
        (LATE._replace(observed=2), FIXED, None, (False, False, "RollingOut")),
        (REFUSED, FIXED, None, (False, False, "ReplicasRefused")),
        (REFUSED, FIXED, SLOW, (False, False, "ReplicasRefused")),
        (REFUSED, FIXED, TERMINAL, (False, True, "ImagePullFailed")),
        (REFUSED._replace(overdue="too late"), FIXED, None, (False, True, "ReplicasRefused")),
        (DONE._replace(updated=1, paused=True), FIXED, None, (False, False, "RolloutPaused")),
        (RolloutStatus(), FIXED, None, (False, False, "RollingOut")),
        (RolloutStatus(), NONE, None, (False, False, "RollingOut")),
        (RolloutStatus(generation=1, observed=1), NONE, None, (True, False, "Serving")),
    ],
)
def test_assessment_of_deployment_status_and_diagnosis(
    rollout: RolloutStatus, spec: ServiceSpec, diagnosis: Diagnosis | None, expected: tuple[bool, bool, str]
) -> None:
    assert assess_rollout(rollout, spec, diagnosis)[:3] == expected
