"""Addresses, topics and credentials from the Secret and the platform's defaults."""

from __future__ import annotations

import pytest

from modelyard.collection.event_hub.destination import Destination, DestinationError, read_destination
from modelyard.collection.event_hub.producer import settings

CONNECTION = "Endpoint=sb://hubs.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=a+b/c=;EntityPath=scored"
NO_PATH = CONNECTION.rpartition(";")[0]


def read(secret: dict[str, str], servers: str = "", topic: str = "") -> Destination:
    return read_destination(secret, servers=servers, topic=topic)


def test_connection_string_names_host_topic_and_password() -> None:
    destination = read({"eventHubConnectionString": CONNECTION}, "other:9092", "other")
    assert destination == Destination(
        "hubs.servicebus.windows.net:9093", "scored", "$ConnectionString", CONNECTION
    )
    assert destination.tls


def test_connection_string_of_a_port_and_a_signature() -> None:
    text = "endpoint=sb://127.0.0.1:5671;SharedAccessSignature=SharedAccessSignature sr=x&sig=y;EntityPath=a"
    assert read({"eventHubConnectionString": text}).servers == "127.0.0.1:5671"


@pytest.mark.parametrize(
    ("secret", "topic"),
    [({"kafkaTopic": "mine"}, "mine"), ({}, "platform"), ({"kafkaTopic": ""}, "platform")],
)
def test_topic_of_a_namespace_connection_string(secret: dict[str, str], topic: str) -> None:
    assert read({"eventHubConnectionString": NO_PATH} | secret, topic="platform").topic == topic


def test_secret_counts_before_the_platform() -> None:
    secret = {"kafkaBootstrapServers": "b1:9092, [::1]:9092", "kafkaTopic": "mine"}
    assert read(secret, "platform:1", "platform") == Destination("b1:9092,[::1]:9092", "mine")
    assert read({}, "platform:1", "platform") == Destination("platform:1", "platform")


def test_credentials_of_the_secret_for_the_broker_of_the_platform() -> None:
    secret = {"kafkaUsername": "me", "kafkaPassword": "p", "kafkaCa": "PEM"}
    assert read(secret, "platform:1", "platform") == Destination("platform:1", "platform", "me", "p", "PEM")


def test_password_is_not_shown() -> None:
    assert "a+b/c" not in repr(read({"eventHubConnectionString": CONNECTION}))


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({}, "add eventHubConnectionString or kafkaBootstrapServers"),
        ({"kafkaBootstrapServers": "a:1"}, "No topic is named: add kafkaTopic"),
        ({"eventHubConnectionString": NO_PATH}, "add EntityPath"),
        ({"eventHubConnectionString": "x"}, "no valid Endpoint"),
        ({"eventHubConnectionString": "Endpoint=https://a/;SharedAccessKey=b"}, "no valid Endpoint"),
        ({"eventHubConnectionString": "Endpoint=sb://a/b?c;SharedAccessKey=b"}, "no valid Endpoint"),
        ({"eventHubConnectionString": "Endpoint=sb://a/;EntityPath=b"}, "no SharedAccessKey"),
        ({"eventHubConnectionString": CONNECTION, "kafkaUsername": "me"}, "and kafkaUsername: keep"),
        ({"kafkaBootstrapServers": "http://a:1", "kafkaTopic": "t"}, "list of host:port"),
        ({"kafkaBootstrapServers": "a:1,", "kafkaTopic": "t"}, "list of host:port"),
        ({"kafkaBootstrapServers": ",".join(["a:1"] * 33), "kafkaTopic": "t"}, "at most 32"),
        ({"kafkaBootstrapServers": "a:1", "kafkaTopic": "a b"}, "The name of the topic"),
        ({"kafkaBootstrapServers": "a:1", "kafkaTopic": "a" * 250}, "The name of the topic"),
        (
            {"kafkaBootstrapServers": "a:1", "kafkaTopic": "t", "kafkaUsername": "u"},
            "without kafkaPassword: add",
        ),
        (
            {"kafkaBootstrapServers": "a:1", "kafkaTopic": "t", "kafkaPassword": "p"},
            "without kafkaUsername: add",
        ),
    ],
)
def test_incomplete_secret_is_told_by_key(secret: dict[str, str], words: str) -> None:
    with pytest.raises(DestinationError) as raised:
        read(secret)
    assert words in str(raised.value)
    assert "a+b/c" not in str(raised.value)


@pytest.mark.parametrize(
    ("destination", "protocol"),
    [
        (Destination("a:1", "t"), "PLAINTEXT"),
        (Destination("a:1", "t", ca="PEM"), "SSL"),
        (Destination("a:1", "t", "u", "p"), "SASL_SSL"),
        (Destination("a:1", "t", "u", "p", "PEM"), "SASL_SSL"),
    ],
)
def test_password_is_sent_with_tls_only(destination: Destination, protocol: str) -> None:
    values = settings(destination, 1000)
    assert values["security.protocol"] == protocol
    assert ("sasl.password" in values) == bool(destination.password)
    assert (values.get("ssl.ca.pem") or "") == destination.ca


def test_producer_is_idempotent_and_bounded() -> None:
    values = settings(Destination("a:1", "t"), 1000)
    assert (values["enable.idempotence"], values["acks"], values["message.timeout.ms"]) == (True, "all", 0)
    assert values["queue.buffering.max.kbytes"] == 5 * 1024
    assert values["batch.num.messages"] < values["queue.buffering.max.messages"] == 1000
