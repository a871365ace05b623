"""Credentials of sources are in the request of a build, and in nothing else that the operator writes."""

from __future__ import annotations

import base64
import json

import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service, source_secret

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_request import BuildError, BuildRequest, BuildResult, Step
from modelyard.kube.types import REVISIONS, SECRETS, Json

CANARIES = ("canary-token", "canary-password", "canary-user", "canary-query")
URL = "https://canary-user:x@h/1?sig=canary-query"


def _fail(_: BuildRequest) -> BuildResult:
    return BuildResult(error=BuildError(code="SourceForbidden", message="no", step=Step.FETCH))


@pytest.mark.parametrize(
    "url", [URL, "s3://b/k", "oci://r.example/a:1", "pvc://claim/k?canary-query", f"x{URL}"]
)
@pytest.mark.parametrize("fails", [False, True])
async def test_credential_of_a_source_is_in_nothing_but_the_request(
    harness: OperatorHarness, url: str, fails: bool
) -> None:
    secret = source_secret(token=CANARIES[0], password=CANARIES[1])
    harness.cluster.put(SECRETS, "default", secret)
    if fails:
        harness.outcome = _fail
    runtime = {"runtimeType": "Python", "properties": {"pythonVersion": "3.11", "pipRequirements": URL}}
    harness.apply(
        model(url=url, secretRef={"name": "store"}), manifest(targetRuntime=runtime), image(), service()
    )
    await harness.play()
    written = [
        _without_inputs(event.body, is_revision=event.resource is REVISIONS)
        for event in harness.cluster.history
        if event.resource is not SECRETS
    ]
    assert len(written) > len(CUSTOM_RESOURCES)
    for canary in CANARIES:
        forms = (canary, base64.b64encode(canary.encode()).decode())
        assert not [body for body in written if any(form in json.dumps(body) for form in forms)], canary


def _without_inputs(body: Json, *, is_revision: bool) -> Json:
    """Return the object without the spec of the user, which a ControllerRevision holds as its data."""
    return {key: value for key, value in body.items() if key != ("data" if is_revision else "spec")}
