"""Cloud identities of ServiceAccounts: which ones a build gets, and their tokens."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model

from modelyard.contract.build_request import BuildRequest
from modelyard.contract.cloud_identity import Cloud
from modelyard.kube.errors import Rejected
from modelyard.kube.types import JOBS, SECRETS, SERVICE_ACCOUNTS, Json
from modelyard.reconcile.builds.identities import CLIENT_ID, GOOGLE_ACCOUNT, REGION, ROLE_ARN, TENANT_ID
from modelyard.settings import GoogleIdentitySettings, IdentitySettings, OperatorSettings

LABEL: Final = {"modelyard.dev/source": "true"}
PROVIDER: Final = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k"
GUID: Final = "01234567-89ab-cdef-0123-456789abcdef"
ARN: Final = "arn:aws:iam::123456789012:role/models"
ANNOTATIONS: Final = {
    ROLE_ARN: ARN,
    CLIENT_ID: GUID,
    TENANT_ID: GUID,
    GOOGLE_ACCOUNT: "models@project.iam.gserviceaccount.com",
    REGION: "eu-central-1",
}


@pytest.fixture
async def offering(harness: OperatorHarness) -> OperatorHarness:
    """An operator with build.identity.enabled."""
    await harness.stop()
    google = GoogleIdentitySettings(audience=PROVIDER)
    harness.settings = OperatorSettings(identity=IdentitySettings(enabled=True, google=google))
    await harness.start()
    return harness


def account(labels: Json | None = None, annotations: Json | None = None) -> Json:
    metadata = {"name": "reader", "labels": LABEL if labels is None else labels}
    return {"metadata": metadata | {"annotations": ANNOTATIONS if annotations is None else annotations}}


async def apply(harness: OperatorHarness, *urls: str, name: str = "reader") -> None:
    names = [f"m{number}" for number in range(len(urls))]
    models = [model(at, url=url, serviceAccountName=name) for at, url in zip(names, urls, strict=True)]
    harness.apply(*models, manifest(modelIds=names), image())
    await harness.play(seconds=60)


async def test_build_gets_a_token_for_the_token_service_of_each_cloud(offering: OperatorHarness) -> None:
    asked: list[BuildRequest] = []
    succeed = offering.outcome
    offering.outcome = lambda request: (asked.append(request), succeed(request))[1]
    offering.cluster.put(SERVICE_ACCOUNTS, "default", account())
    await apply(offering, "s3://b/k", "s3://b/l", "gs://b/k", "abfss://c@a.dfs.core.windows.net/k")
    identities = [source.source.identity for source in asked[0].models]
    assert [(item.cloud, item.account, item.token) for item in identities if item] == [
        (Cloud.AWS, ARN, "token of default/reader for sts.amazonaws.com 1800 s"),
        (Cloud.AWS, ARN, "token of default/reader for sts.amazonaws.com 1800 s"),
        (Cloud.GOOGLE, ANNOTATIONS[GOOGLE_ACCOUNT], f"token of default/reader for https:{PROVIDER} 1800 s"),
        (Cloud.AZURE, GUID, "token of default/reader for api://AzureADTokenExchange 1800 s"),
    ]
    assert identities[0] and identities[0].token_url == "https://sts.eu-central-1.amazonaws.com"
    tokens = [call for call in offering.cluster.calls if call.subresource == "token"]
    assert len(tokens) == 3
    told = [event.body for event in offering.cluster.history if event.resource != SECRETS]
    assert "token of" not in json.dumps(told)


async def test_queued_build_gets_its_token_when_it_starts(offering: OperatorHarness) -> None:
    def tokens() -> int:
        return sum(call.subresource == "token" for call in offering.cluster.calls)

    offering.cluster.put(SERVICE_ACCOUNTS, "default", account())
    others = [f"i{number}" for number in range(offering.settings.build.concurrent_per_namespace)]
    offering.apply(model("public"), manifest("public", modelIds=["public"]))
    offering.apply(*(image(name, manifestId="public") for name in others))
    await offering.settle()
    offering.apply(model(url="s3://b/k", serviceAccountName="reader"), manifest(), image())
    await offering.settle()
    assert offering.summary("Image") == ("m:1", "NotStarted", "BuildQueued")
    assert tokens() == 0
    await offering.play()
    assert offering.summary("Image")[1] == "Succeeded"
    assert tokens() == 1


async def test_build_without_identity_asks_for_nothing(offering: OperatorHarness) -> None:
    offering.apply(model(), manifest(), image())
    await offering.play()
    assert offering.summary("Image")[1] == "Succeeded"
    assert not [call for call in offering.cluster.calls if call.resource == SERVICE_ACCOUNTS.plural]


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (None, "ServiceAccountNotFound", "waiting for ServiceAccount reader"),
        (account(labels={}), "ServiceAccountNotAllowed", 'has no label modelyard.dev/source: "true"'),
        (account(labels={"modelyard.dev/source": "yes"}), "ServiceAccountNotAllowed", "kubectl label"),
        (account(annotations={}), "ServiceAccountNotAllowed", f"lacks the annotation {ROLE_ARN}"),
        (account(annotations={ROLE_ARN: "x&Action=y"}), "ServiceAccountNotAllowed", "is not valid"),
        (
            account(annotations={ROLE_ARN: ARN, REGION: "x.evil.example.com/"}),
            "ServiceAccountNotAllowed",
            f"an annotation {REGION} that is not valid",
        ),
    ],
    ids=["absent", "no label", "other label", "no annotation", "invalid role", "region with a host"],
)
async def test_service_account_must_be_meant_for_downloads(
    offering: OperatorHarness, body: Json | None, reason: str, words: str
) -> None:
    if body:
        offering.cluster.put(SERVICE_ACCOUNTS, "default", body)
    await apply(offering, "s3://b/k")
    assert offering.summary("Image") == ("m:1", "NotStarted", reason)
    assert words in offering.condition("Image", "Ready")["message"]
    assert not [call for call in offering.cluster.calls if call.subresource == "token"]
    assert offering.builds == 0


async def test_label_lets_the_build_go_on(offering: OperatorHarness) -> None:
    offering.cluster.put(SERVICE_ACCOUNTS, "default", account(labels={}))
    await apply(offering, "s3://b/k")
    offering.cluster.change(SERVICE_ACCOUNTS, "default", "reader", {"metadata": {"labels": LABEL}})
    await offering.play(seconds=20)
    assert offering.summary("Image")[1] == "Succeeded"


async def test_rejected_token_request_fails_the_build_with_its_message(offering: OperatorHarness) -> None:
    def reject(_: int, call: Call) -> None:
        if call.subresource == "token":
            raise Rejected("the audience is not allowed here", status=403, reason="Forbidden")

    offering.cluster.put(SERVICE_ACCOUNTS, "default", account())
    offering.cluster.fault = reject
    offering.apply(model(url="s3://b/k", serviceAccountName="reader"), manifest(), image())
    await offering.settle()
    assert offering.summary("Image") == ("m:1", "Failed", "BuildRefused")
    message = offering.status("Image")["error"]["message"]
    assert "the build's TokenRequest: the audience is not allowed here" in message
    assert offering.cluster.all(JOBS) == []


async def test_service_account_that_is_deleted_before_the_token_is_waited_for(
    offering: OperatorHarness,
) -> None:
    def delete(_: int, call: Call) -> None:
        if call.subresource == "token" and offering.cluster.all(SERVICE_ACCOUNTS):
            offering.cluster.remove(SERVICE_ACCOUNTS, "default", "reader")

    offering.cluster.put(SERVICE_ACCOUNTS, "default", account())
    offering.cluster.fault = delete
    offering.apply(model(url="s3://b/k", serviceAccountName="reader"), manifest(), image())
    await offering.play(seconds=60)
    assert offering.summary("Image") == ("m:1", "NotStarted", "ServiceAccountNotFound")
    assert offering.cluster.all(JOBS) == []


@pytest.mark.parametrize(
    ("settings", "url", "words"),
    [
        (IdentitySettings(), "s3://b/k", "build.identity.enabled"),
        (IdentitySettings(enabled=True), "gs://b/k", "build.identity.google.audience"),
    ],
    ids=["disabled", "no provider"],
)
async def test_identity_that_the_chart_does_not_offer_is_refused(
    harness: OperatorHarness, settings: IdentitySettings, url: str, words: str
) -> None:
    await harness.stop()
    harness.settings = OperatorSettings(identity=settings)
    await harness.start()
    harness.cluster.put(SERVICE_ACCOUNTS, "default", account())
    await apply(harness, url)
    assert harness.summary("Image") == ("m:1", "NotStarted", "IdentityNotOffered")
    assert words in harness.condition("Image", "Stalled")["message"]
    assert not [call for call in harness.cluster.calls if call.resource == SERVICE_ACCOUNTS.plural]


async def test_identity_changes_no_hash_of_inputs(offering: OperatorHarness) -> None:
    offering.cluster.put(SERVICE_ACCOUNTS, "default", account())
    await apply(offering, "s3://b/k")
    builds = offering.builds
    changed: dict[str, Any] = {"serviceAccountName": None}
    offering.change("Model", on="m0", **changed)
    await offering.play()
    assert offering.summary("Image")[:2] == ("m:2", "Succeeded")
    assert offering.builds == builds
    assert len(offering.cluster.all(JOBS)) <= 1
