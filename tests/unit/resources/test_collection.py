"""Parts of the pods of a Service that collects records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.api_cases.pod import EVERY_FIELD

from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.collection.settings import CollectionSettings
from modelyard.contract.collection_pod import DESTINATION_DIR, SPOOL_DIR, STATE_DIR, CollectorVariable
from modelyard.kube.merge import fingerprint
from modelyard.kube.types import Json
from modelyard.reconcile.services.template import template_inputs
from modelyard.resources import serving
from modelyard.resources.pod_template import PodOrigin, ScoringImage, mark_origin, origin_of
from modelyard.settings import DataCollectionSettings, ScoringSettings

OWNER = Owner("Service", "m", "u1")
DIGEST = "sha256:" + "a" * 64
IMAGE = f"localhost:5000/modelyard/default/m@{DIGEST}"
SETTINGS = DataCollectionSettings()
STORED = {"storageEnabled": True}


def service(collection: Json | None = None, **spec: Any) -> ServiceSpec:
    return ServiceSpec.model_validate({"imageId": "m", "dataCollection": collection} | spec)


def deployment(spec: ServiceSpec, settings: DataCollectionSettings | None = SETTINGS) -> Json:
    scoring = ScoringSettings(otlp_endpoint="http://c:4318")
    return serving.deployment(OWNER, spec, ScoringImage(IMAGE, ("amd64",)), scoring, settings)


def pod(collection: Json | None = None, settings: DataCollectionSettings = SETTINGS, **spec: Any) -> Json:
    found: Json = deployment(service(collection, **spec), settings)["spec"]["template"]["spec"]
    return found


def collector(collection: Json | None = None, settings: DataCollectionSettings = SETTINGS) -> Json:
    (found,) = pod(collection or STORED, settings)["initContainers"]
    return dict(found)


def environment(container: Json) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in container["env"]}


@pytest.mark.parametrize(
    ("spec", "hashes"),
    [
        ({}, ("acdf935672b0a67a", "ec1c4c1574c870f3")),
        (
            {"dataCollection": {"storageEnabled": False, "eventHubEnabled": False}},
            ("acdf935672b0a67a", "ec1c4c1574c870f3"),
        ),
        ({"pod": EVERY_FIELD}, ("323c6d295b9e9f76", "ea5ca24fff232946")),
        ({"appInsightsEnabled": True, "numReplicas": 2}, ("eb0bb28a8e50d22f", "e7ff5b78156e3aa3")),
    ],
)
def test_service_without_collection_has_the_deployment_of_the_release_before(
    spec: Json, hashes: tuple[str, str]
) -> None:
    parsed = service(**spec)
    assert (fingerprint(deployment(parsed)), template_inputs(parsed, IMAGE)) == hashes


def test_collector_runs_beside_the_scoring_container_without_rights() -> None:
    body = pod(STORED)
    (found,) = body["initContainers"]
    assert found["restartPolicy"] == "Always"  # a native side-car
    assert (found["image"], found["args"]) == (SETTINGS.image, ["collect"])
    assert found["ports"] == [{"name": "collection", "containerPort": 5002, "protocol": "TCP"}]
    assert found["securityContext"] == body["containers"][0]["securityContext"]
    assert not body["automountServiceAccountToken"]
    assert found["resources"]["limits"]["memory"]


def test_collector_alone_mounts_the_destination_and_its_journal() -> None:
    body = pod(STORED)
    paths = {item["mountPath"] for item in body["containers"][0]["volumeMounts"]}
    assert paths & {SPOOL_DIR, STATE_DIR, DESTINATION_DIR} == {SPOOL_DIR}
    mounts = {item["mountPath"]: item.get("readOnly") for item in collector()["volumeMounts"]}
    assert mounts == {SPOOL_DIR: None, STATE_DIR: None, DESTINATION_DIR: True}
    volumes = {item["name"]: item for item in body["volumes"]}
    secret = volumes["modelyard-collection-destination"]["secret"]
    assert (secret["secretName"], secret["optional"]) == ("modelyard-data-collection", True)
    assert volumes["modelyard-collection"]["emptyDir"]["sizeLimit"] == "320Mi"
    assert volumes["modelyard-collection-state"]["emptyDir"]["sizeLimit"]


def test_front_gets_the_settings_of_the_service() -> None:
    found = environment(pod(STORED | {"samplingPercent": 5, "maxBodyBytes": 10})["containers"][0])
    assert found["MODELYARD_COLLECTION_DIR"] == SPOOL_DIR
    assert found["MODELYARD_COLLECTION_SAMPLE_PERCENT"] == "5"
    assert found["MODELYARD_COLLECTION_MAX_BODY_BYTES"] == "10"
    default = environment(pod(STORED)["containers"][0])
    assert default["MODELYARD_COLLECTION_SAMPLE_PERCENT"] == "100"
    assert default["MODELYARD_COLLECTION_MAX_BODY_BYTES"] == "65536"
    assert default["MODELYARD_COLLECTION_SPOOL_BYTES"] == str(256 * 2**20)


def test_collector_reads_the_settings_that_the_operator_writes() -> None:
    settings = DataCollectionSettings.model_validate(
        {
            "storage": {"url": "s3://b/p", "format": "jsonLines"},
            "eventHub": {"bootstrapServers": "h:9093", "topic": "t"},
            "batchSeconds": 5,
            "batchBytes": 6,
            "flushSeconds": 7,
        }
    )
    found = collector(STORED | {"leaveOut": ["data.ssn"], "hash": ["*.id"]}, settings)
    fields = {item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"] for item in found["env"][-4:]}
    assert fields == {
        CollectorVariable.NAMESPACE: "metadata.namespace",
        CollectorVariable.POD: "metadata.name",
        CollectorVariable.VERSION: "metadata.labels['modelyard.dev/version']",
        CollectorVariable.MODEL_IDS: "metadata.annotations['modelyard.dev/model-ids']",
    }
    downward = dict(zip(fields, ("ns", "m-1", "3", '["a:1"]'), strict=True))
    read = CollectionSettings.from_environment(environment(found) | downward)
    assert (read.storage, read.event_hub) == (True, False)
    assert (read.leave_out, read.hashed) == (("data.ssn",), ("*.id",))
    assert (read.storage_url, read.storage_format) == ("s3://b/p", "jsonLines")
    assert (read.kafka_bootstrap_servers, read.kafka_topic) == ("h:9093", "t")
    assert (read.batch_seconds, read.batch_bytes, read.flush_seconds) == (5, 6, 7)
    assert (read.origin.service, read.origin.image_digest) == ("m", DIGEST)
    assert read.origin.model_ids == ("a:1",)
    assert str(read.destination_dir) == DESTINATION_DIR


def test_stopping_replica_has_time_to_write_its_last_records() -> None:
    seconds = "terminationGracePeriodSeconds"
    assert pod(STORED)[seconds] == pod()[seconds] + SETTINGS.flush_seconds


def test_disk_limit_has_room_for_the_records() -> None:
    def limit(body: Json) -> str:
        return str(body["containers"][0]["resources"]["limits"]["ephemeral-storage"])

    assert (limit(pod()), limit(pod(STORED))) == ("11Gi", "11840Mi")


def test_variables_of_the_platform_reach_the_collector() -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    settings = DataCollectionSettings.model_validate({"extraEnv": [proxy]})
    assert collector(STORED, settings)["env"][-1] == proxy


@pytest.mark.parametrize(
    ("settings", "collection", "collects"),
    [
        ({}, STORED, True),
        ({"secretName": ""}, STORED, False),
        ({"secretName": "", "storage": {"url": "s3://b"}}, STORED, True),
        ({"secretName": "", "storage": {"url": "s3://b"}}, {"eventHubEnabled": True}, False),
        ({"secretName": "", "eventHub": {"bootstrapServers": "h"}}, {"eventHubEnabled": True}, True),
    ],
)
def test_pods_collect_only_with_a_possible_destination(
    settings: Json, collection: Json, collects: bool
) -> None:
    body = pod(collection, DataCollectionSettings.model_validate(settings))
    assert ("initContainers" in body) == collects


def test_collector_without_a_secret_mounts_none() -> None:
    settings = DataCollectionSettings.model_validate({"secretName": "", "storage": {"url": "s3://b"}})
    assert DESTINATION_DIR not in json.dumps(pod(STORED, settings))


def test_origin_is_no_part_of_the_hash() -> None:
    template = deployment(service(STORED))["spec"]["template"]
    marked = mark_origin(template, PodOrigin("3", '["a:1"]'))
    assert origin_of(marked) == ("3", '["a:1"]')
    assert mark_origin(marked, PodOrigin(None)) == template


def test_changed_collection_is_another_input_of_the_template() -> None:
    found = {
        template_inputs(service(collection), IMAGE)
        for collection in (None, STORED, STORED | {"leaveOut": ["a"]}, {"eventHubEnabled": True})
    }
    assert len(found) == 4
