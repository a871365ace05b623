"""Secrets that downloads may use."""

from __future__ import annotations

import pytest
from tests.unit.operator_harness import OperatorHarness, model, sample_objects, source_secret

from modelyard.api.labels import labels_of
from modelyard.api.names import API_VERSION
from modelyard.kube.types import SECRETS, Json
from modelyard.reconcile.builds.source_secret import refusal_of
from modelyard.settings import OperatorSettings, SourcesSettings

HTTPS = "https://h/x"
LABEL = "modelyard.dev/source"


def secret(type_: str = "Opaque", **labels: str) -> Json:
    return {
        "metadata": {
            "name": "s",
            "labels": {LABEL.replace("source", key): value for key, value in labels.items()},
        },
        "type": type_,
    }


@pytest.mark.parametrize(
    "type_",
    [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
        "helm.sh/release.v1",
        "kubernetes.io/tls",
        "kubernetes.io/ssh-auth",
        "kubernetes.io/dockercfg",
        "kubernetes.io/dockerconfigjson",
        "istio.io/key-and-cert",
        "team.example.com/any",
    ],
)
@pytest.mark.parametrize("requires_label", [True, False])
def test_secret_of_a_type_for_another_purpose_is_refused(type_: str, requires_label: bool) -> None:
    refusal = refusal_of(secret(type_, source="true"), HTTPS, requires_label=requires_label)
    types = "Opaque or kubernetes.io/basic-auth"
    assert refusal == f"Secret s of type {type_} is not for https sources: create one of type {types}"


@pytest.mark.parametrize(
    ("type_", "url", "is_allowed"),
    [
        ("Opaque", HTTPS, True),
        ("", HTTPS, True),
        ("kubernetes.io/basic-auth", "http://h/x", True),
        ("kubernetes.io/basic-auth", "oci://h/x", True),
        ("kubernetes.io/dockerconfigjson", "oci://h/x", True),
        ("kubernetes.io/basic-auth", "s3://b/x", False),
        ("kubernetes.io/dockerconfigjson", "gs://b/x", False),
        ("Opaque", "abfss://c@a/x", True),
    ],
)
def test_type_of_the_secret_fits_the_scheme(type_: str, url: str, is_allowed: bool) -> None:
    refusal = refusal_of(secret(type_, source="true"), url, requires_label=True)
    assert (refusal is None) == is_allowed


@pytest.mark.parametrize(
    ("labels", "requires_label", "is_allowed"),
    [
        ({"source": "true"}, True, True),
        ({}, True, False),
        ({"source": "false"}, True, False),
        ({"source": "True"}, True, False),
        ({"source": "true"}, False, True),
        ({}, False, True),
        ({"source": "false"}, False, False),
    ],
)
def test_label_decides(labels: dict[str, str], requires_label: bool, is_allowed: bool) -> None:
    refusal = refusal_of(secret(**labels), HTTPS, requires_label=requires_label)
    assert (refusal is None) == is_allowed
    assert is_allowed or "kubectl label secret s modelyard.dev/source=true" in str(refusal)


def test_keys_of_a_service_are_no_source() -> None:
    labelled = secret(source="true")
    labelled["metadata"]["labels"] |= labels_of("Service", "m")
    owned = secret(source="true")
    owner = {"apiVersion": API_VERSION, "kind": "Service", "name": "m", "uid": "u", "controller": True}
    owned["metadata"]["ownerReferences"] = [owner]
    for own in (labelled, owned):
        assert "belongs to the operator" in str(refusal_of(own, HTTPS, requires_label=False))


def stored(type_: str = "Opaque", **labels: str) -> Json:
    body = source_secret(token="s3cr3t")
    return body | {"type": type_, "metadata": body["metadata"] | {"labels": labels}}


async def test_build_waits_for_the_label_and_goes_on(harness: OperatorHarness) -> None:
    harness.cluster.put(SECRETS, "default", stored())
    harness.apply(model(secretRef={"name": "store"}), *sample_objects()[1:])
    await harness.play(seconds=60)
    assert harness.summary("Image") == ("m:1", "NotStarted", "SecretNotAllowed")
    stalled = harness.condition("Image", "Stalled")
    assert (stalled["status"], "model m:1: Secret store has no label" in stalled["message"]) == ("True", True)
    assert harness.builds == 0
    writes = len(harness.cluster.writes)
    await harness.play(seconds=120)
    assert len(harness.cluster.writes) == writes
    harness.cluster.change(SECRETS, "default", "store", {"metadata": {"labels": {LABEL: "true"}}})
    await harness.play(seconds=20)
    assert harness.summary("Image")[1] == "Succeeded"


async def test_token_of_a_service_account_reaches_no_build(harness: OperatorHarness) -> None:
    harness.settings = OperatorSettings(sources=SourcesSettings(require_secret_label=False))
    await harness.stop()
    await harness.start()
    harness.cluster.put(SECRETS, "default", stored("kubernetes.io/service-account-token", **{LABEL: "true"}))
    harness.apply(model(secretRef={"name": "store"}), *sample_objects()[1:])
    await harness.play(seconds=60)
    assert harness.summary("Image") == ("m:1", "NotStarted", "SecretNotAllowed")
    assert harness.builds == 0


async def test_secret_without_keys_of_the_scheme_is_named(harness: OperatorHarness) -> None:
    body = source_secret(AWS_SECRET_ACCESS_KEY="s3cr3t")
    harness.cluster.put(SECRETS, "default", body)
    harness.apply(model(secretRef={"name": "store"}), *sample_objects()[1:])
    await harness.play(seconds=60)
    assert harness.summary("Image") == ("m:1", "NotStarted", "SecretWithoutKeys")
    assert "username, password, token, header.<Name>" in harness.condition("Image", "Ready")["message"]
    assert harness.builds == 0
