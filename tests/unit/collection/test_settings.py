"""The environment of the side-car."""

from __future__ import annotations

import json

import pytest

from modelyard.collection.settings import CollectionSettings, SettingsError

ENVIRONMENT = {
    "MODELYARD_COLLECTION_NAMESPACE": "team-a",
    "MODELYARD_COLLECTION_SERVICE": "diabetes",
    "MODELYARD_COLLECTION_POD": "diabetes-7d4-x2x",
    "MODELYARD_COLLECTION_STORAGE": "true",
}


def test_defaults_are_those_of_the_pod() -> None:
    settings = CollectionSettings.from_environment(ENVIRONMENT)
    assert settings.port == 5002
    assert str(settings.spool_dir) == "/var/run/modelyard/collection"
    assert settings.storage_format == "parquet"
    assert (settings.batch_seconds, settings.batch_bytes) == (60, 64 * 1024 * 1024)
    assert settings.destination_dir is None
    assert not settings.event_hub
    assert settings.origin.model_ids == ()


def test_variables_of_the_operator_are_read() -> None:
    platform = {
        "storage": {"url": "s3://all/rows", "format": "jsonLines"},
        "eventHub": {"bootstrapServers": "kafka:9092", "topic": "rows"},
        "batchSeconds": 30,
        "batchBytes": 1048576,
    }
    settings = CollectionSettings.from_environment(
        ENVIRONMENT
        | {
            "MODELYARD_COLLECTION_EVENT_HUB": "true",
            "MODELYARD_COLLECTION_MODEL_IDS": '["diabetes:1"]',
            "MODELYARD_COLLECTION_LEAVE_OUT": '["data.ssn"]',
            "MODELYARD_COLLECTION_HASH": '["[*].name"]',
            "MODELYARD_COLLECTION_PLATFORM": json.dumps(platform),
        }
    )
    assert settings.storage
    assert settings.event_hub
    assert settings.origin.model_ids == ("diabetes:1",)
    assert settings.leave_out == ("data.ssn",)
    assert settings.hashed == ("[*].name",)
    assert (settings.storage_url, settings.storage_format) == ("s3://all/rows", "jsonLines")
    assert (settings.kafka_bootstrap_servers, settings.kafka_topic) == ("kafka:9092", "rows")
    assert (settings.batch_seconds, settings.batch_bytes) == (30, 1048576)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SERVICE", "", "is not set"),
        ("PORT", "http", "must be a whole number of 1 or more, not 'http'"),
        ("SPOOL_BYTES", "0", "must be a whole number of 1 or more, not '0'"),
        ("LEAVE_OUT", "data.ssn", "is not JSON"),
        ("HASH", "[1]", "must be a JSON list of texts"),
        ("PLATFORM", "[]", "must be a JSON object"),
        ("PLATFORM", '{"storage": "s3://"}', "storage must be a JSON object"),
        ("PLATFORM", '{"storage": {"format": "csv"}}', "must be one of parquet, jsonLines, not 'csv'"),
    ],
)
def test_invalid_variable_is_named(name: str, value: str, message: str) -> None:
    variable = f"MODELYARD_COLLECTION_{name}"
    with pytest.raises(SettingsError, match=f"{variable}.*{message}"):
        CollectionSettings.from_environment(ENVIRONMENT | {variable: value})
