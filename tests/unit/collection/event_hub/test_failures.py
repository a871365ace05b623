"""Sentences for failures of librdkafka and of the broker."""

from __future__ import annotations

import pytest
from tests.unit.collection.event_hub.fake_broker import Refusal

from modelyard.collection.event_hub.destination import Destination
from modelyard.collection.event_hub.failures import sink_error
from modelyard.collection.sink import Trouble

HERE = Destination("b:9093", "scored", "u", "s3cret")


@pytest.mark.parametrize(
    ("name", "trouble", "words"),
    [
        ("UNKNOWN_TOPIC_OR_PART", Trouble.REFUSED, "has no topic scored: create it"),
        ("_UNKNOWN_TOPIC", Trouble.REFUSED, "has no topic scored"),
        ("TOPIC_AUTHORIZATION_FAILED", Trouble.REFUSED, "grant the right Send (Event Hubs) or Write (Kafka)"),
        ("SASL_AUTHENTICATION_FAILED", Trouble.REFUSED, "refuses the credentials: correct"),
        ("POLICY_VIOLATION", Trouble.REFUSED, "refuses records for scored: text."),
        ("_TRANSPORT", Trouble.UNAVAILABLE, "acknowledges no records (text): check"),
        ("_SSL", Trouble.UNAVAILABLE, "acknowledges no records (text): check"),
        ("_ALL_BROKERS_DOWN", Trouble.UNAVAILABLE, "acknowledges no records: check"),
        ("NOT_ENOUGH_REPLICAS", Trouble.UNAVAILABLE, "acknowledges no records (text): check"),
    ],
)
def test_failure_has_a_sentence(name: str, trouble: Trouble, words: str) -> None:
    error = sink_error(Refusal(name, "text"), HERE)
    assert error.trouble is trouble
    assert words in error.message
    assert "b:9093" in error.message


def test_certificate_of_an_unknown_ca_is_refused() -> None:
    error = sink_error(Refusal("_SSL", "SSL handshake failed: certificate verify failed: broker …"), HERE)
    assert (error.trouble, "kafkaCa" in error.message) == (Trouble.REFUSED, True)


def test_text_of_a_broker_is_short_steady_and_printable() -> None:
    def message(milliseconds: int, node: str) -> str:
        after = f" (after {milliseconds}ms in state CONNECT)"
        text = f"sasl_ssl://b:9093/{node}: Connect failed\n\x1b[31m: {'x' * 999}{after}"
        return sink_error(Refusal("_TRANSPORT", text), HERE).message

    assert message(1, "bootstrap") == message(23, "1")
    assert "(Connect failed[31m: xxx" in message(1, "1")
    assert len(message(1, "1")) < 400
