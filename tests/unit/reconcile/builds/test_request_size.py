"""Build requests that no Secret can hold."""

from __future__ import annotations

import base64
import random

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model
from tests.unit.reconcile.test_image import jobs

from modelyard.contract.build_request import AssetInput, BuildRequest, ModelInput, Source
from modelyard.kube.errors import Rejected
from modelyard.kube.types import JOBS, SECRETS
from modelyard.reconcile.builds.request_size import MAX_SECRET_BYTES, size_problem
from modelyard.resources.build_job import packed_request

_INCOMPRESSIBLE = base64.b85encode(random.Random(1).randbytes(1_300_000)).decode()
_SMALL = BuildRequest(
    repository="r/x",
    tag="t",
    base_image="python",
    driver="driver",
    assets=(AssetInput(id="driver", source=Source(content="x")),),
)


def test_request_of_the_limit_fits() -> None:
    assert size_problem(_SMALL, b"x" * MAX_SECRET_BYTES) is None
    assert size_problem(_SMALL, b"x" * (MAX_SECRET_BYTES + 1)) is not None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pip_requirements": _INCOMPRESSIBLE}, "properties.pipRequirements"),
        ({"conda_env_file": _INCOMPRESSIBLE}, "properties.condaEnvFile"),
        (
            {"assets": (AssetInput(id="data", source=Source(content=_INCOMPRESSIBLE)),)},
            "content of asset data",
        ),
        (
            {"models": (ModelInput(name="m", version=3, source=Source(url=f"data:,{_INCOMPRESSIBLE}")),)},
            "url of model m:3",
        ),
        (
            {"models": (ModelInput(name="m", version=3, source=Source(credentials={"k": _INCOMPRESSIBLE})),)},
            "secretRef of model m:3",
        ),
    ],
    ids=["pip", "conda", "asset", "url", "credentials"],
)
def test_problem_names_the_largest_field_and_the_limit(changes: dict[str, object], field: str) -> None:
    request = _SMALL.model_copy(update=changes)
    problem = size_problem(request, packed_request(request))
    assert problem is not None
    assert f"the largest field is {field} with" in problem
    assert "the limit is 1 MiB" in problem
    assert _INCOMPRESSIBLE[:20] not in problem


async def test_request_that_no_secret_holds_fails_before_any_job_exists(harness: OperatorHarness) -> None:
    third = 500_000  # a model may have 512 KiB: one model fits, three do not
    for name, at in (("a", 0), ("b", third), ("c", 2 * third)):
        harness.apply(model(name, url=f"data:,{_INCOMPRESSIBLE[at : at + third]}"))
    harness.apply(manifest(modelIds=["a", "b", "c"]), image())
    await harness.play(seconds=7200)
    assert harness.summary("Image") == ("m:1", "Failed", "BuildRequestTooLarge")
    assert "url of model a:1" in harness.status("Image")["error"]["message"]
    assert harness.condition("Image", "Stalled")["status"] == "True"
    assert not [
        call for call in harness.cluster.calls if call.resource == JOBS.plural and call.verb == "create"
    ]


async def test_rejected_secret_of_a_request_deletes_the_job(harness: OperatorHarness) -> None:
    def refuse(_: int, call: Call) -> None:
        if (call.verb, call.resource, call.name[:6]) == ("create", SECRETS.plural, "build-"):
            raise Rejected("exceeded quota: secrets=5", status=403, reason="Forbidden")

    harness.cluster.fault = refuse
    harness.apply(model(), manifest(), image())
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Failed", "BuildRefused")
    assert "the build's Secret: exceeded quota" in harness.status("Image")["error"]["message"]
    assert jobs(harness) == []
