"""The sentence for each failure of librdkafka or of the broker."""

from __future__ import annotations

import re
from typing import Final

from modelyard.collection.event_hub.destination import CA, CONNECTION_STRING, PASSWORD, USERNAME, Destination
from modelyard.collection.event_hub.producer import Failure
from modelyard.collection.sink import SinkError, Trouble

# https://kafka.apache.org/protocol#protocol_error_codes
REFUSED_RECORDS: Final = {
    "MSG_SIZE_TOO_LARGE": "too_large",
    "INVALID_MSG_SIZE": "too_large",
    "INVALID_RECORD": "refused",
}
"""Errors of a record, with the reason for its drop. The broker refuses the whole batch with the record."""
OTHER_RECORD: Final = "_INVALID_DIFFERENT_RECORD"
"""Another record of the batch was refused."""
ALL_BROKERS_DOWN: Final = "_ALL_BROKERS_DOWN"
"""No connection is left. It follows the failure of the last one, which says more."""
_UNKNOWN_TOPIC: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})
_NO_RIGHT: Final = frozenset({"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"})
_LOGIN: Final = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM"})
_REFUSED: Final = frozenset(
    {"POLICY_VIOLATION", "TOPIC_EXCEPTION", "INVALID_REQUIRED_ACKS", "UNSUPPORTED_VERSION"}
)

# Times, states and names of connections, which differ each time: sasl_ssl://host:9093/bootstrap: …
_VARYING: Final = re.compile(r" \(after \d+ms in state \w+\)|(?:\w+://)?\S+/(?:bootstrap|\d+): |[^ -~]+")
_MAX_TEXT: Final = 200


def sink_error(failure: Failure, destination: Destination) -> SinkError:
    """Return the error of the sink for a failure that concerns more than one record."""
    name, servers, topic = failure.name(), destination.servers, destination.topic
    if name in _UNKNOWN_TOPIC:
        return _refused(
            f"The event hub {servers} has no topic {topic}: create it, or correct its name in the Secret."
        )
    if name in _NO_RIGHT:
        return _refused(
            f"The event hub {servers} does not let these credentials write to {topic}: "
            "grant the right Send (Event Hubs) or Write (Kafka)."
        )
    if name in _LOGIN:
        return _refused(
            f"The event hub {servers} refuses the credentials: "
            f"correct {CONNECTION_STRING}, or {USERNAME} and {PASSWORD}, in the Secret."
        )
    if name == "_SSL" and "verify failed" in failure.str():
        return _refused(
            f"The certificate of the event hub {servers} names another host, or its CA is unknown. "
            f"Correct the address, or add the CA's certificate as {CA} to the Secret."
        )
    if name in _REFUSED:
        return _refused(f"The event hub {servers} refuses records for {topic}: {_text(failure)}.")
    return no_answer(destination, _text(failure))


def no_answer(destination: Destination, text: str = "") -> SinkError:
    """Return the error of the sink for a broker that acknowledges no record."""
    return SinkError(
        Trouble.UNAVAILABLE,
        f"The event hub {destination.servers} acknowledges no records{f' ({text})' if text else ''}: "
        "check its address, the network policy and the broker.",
    )


def _refused(message: str) -> SinkError:
    return SinkError(Trouble.REFUSED, message)


def _text(failure: Failure) -> str:
    if failure.name() == ALL_BROKERS_DOWN:
        return ""
    return _VARYING.sub("", failure.str())[:_MAX_TEXT].strip().rstrip(".")
