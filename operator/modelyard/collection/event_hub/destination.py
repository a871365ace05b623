"""The address, topic and credentials of an event hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CONNECTION_STRING: Final = "eventHubConnectionString"
SERVERS: Final = "kafkaBootstrapServers"
TOPIC: Final = "kafkaTopic"
USERNAME: Final = "kafkaUsername"
PASSWORD: Final = "kafkaPassword"  # noqa: S105 (the name of a key)
CA: Final = "kafkaCa"

# https://learn.microsoft.com/azure/event-hubs/azure-event-hubs-apache-kafka-overview
_CONNECTION_STRING_USER: Final = "$ConnectionString"
_EVENT_HUBS_PORT: Final = 9093
_ENDPOINT: Final = re.compile(r"sb://([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?/?", re.IGNORECASE)
_SERVERS: Final = re.compile(r"[A-Za-z0-9.-]{1,253}:\d{1,5}|\[[0-9A-Fa-f:.]{2,45}\]:\d{1,5}")
_MAX_SERVERS: Final = 32
# Kafka's own rule (org.apache.kafka.common.internals.Topic).
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


class DestinationError(ValueError):
    """The Secret and the platform name no complete destination; the message names the key."""


@dataclass(frozen=True)
class Destination:
    """One topic. The connection has TLS if there is a user name or a CA."""

    servers: str
    """`host:port`, several with commas."""
    topic: str
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    """PEM certificates; empty for those of the system."""

    @property
    def tls(self) -> bool:
        """Tell whether the connection is encrypted: always with a password."""
        return bool(self.username or self.ca)


def read_destination(secret: Mapping[str, str], *, servers: str, topic: str) -> Destination:
    """Return the destination that a Secret names. `servers` and `topic` are the platform's defaults.

    Raises DestinationError if it names none, or if keys do not fit together.
    """
    connection = secret.get(CONNECTION_STRING, "")
    if not connection:
        return _kafka(secret, servers, topic)
    if other := sorted(key for key in (SERVERS, USERNAME, PASSWORD) if secret.get(key)):
        raise DestinationError(
            f"The Secret has {CONNECTION_STRING} and {', '.join(other)}: keep one or the other."
        )
    return _event_hubs(connection, secret, topic)


def _event_hubs(connection: str, secret: Mapping[str, str], topic: str) -> Destination:
    parts = dict(_parts(connection))
    endpoint = _ENDPOINT.fullmatch(parts.get("endpoint", ""))
    if endpoint is None:
        raise DestinationError(
            f"{CONNECTION_STRING} has no valid Endpoint: copy the whole connection string of the event hub, "
            "which begins with Endpoint=sb://."
        )
    if not any(key in parts for key in ("sharedaccesskey", "sharedaccesssignature")):
        raise DestinationError(
            f"{CONNECTION_STRING} has no SharedAccessKey: copy the whole connection string of the event hub."
        )
    host, port = endpoint[1], endpoint[2] or _EVENT_HUBS_PORT
    hub = parts.get("entitypath") or secret.get(TOPIC) or topic
    if not hub:
        raise DestinationError(
            f"No event hub is named: add EntityPath to {CONNECTION_STRING}, or {TOPIC} to the Secret."
        )
    return Destination(
        f"{host}:{port}", _checked_topic(hub), _CONNECTION_STRING_USER, connection, secret.get(CA, "")
    )


def _kafka(secret: Mapping[str, str], servers: str, topic: str) -> Destination:
    servers = secret.get(SERVERS) or servers
    topic = secret.get(TOPIC) or topic
    if not servers:
        raise DestinationError(
            f"No event hub is named: add {CONNECTION_STRING} or {SERVERS} to the Secret of the destination, "
            "or let the platform set dataCollection.eventHub.bootstrapServers."
        )
    if not topic:
        raise DestinationError(
            f"No topic is named: add {TOPIC} to the Secret of the destination, "
            "or let the platform set dataCollection.eventHub.topic."
        )
    username, password = secret.get(USERNAME, ""), secret.get(PASSWORD, "")
    if bool(username) != bool(password):
        missing, present = (PASSWORD, USERNAME) if username else (USERNAME, PASSWORD)
        raise DestinationError(
            f"The Secret has {present} without {missing}: add {missing}, or remove {present}."
        )
    return Destination(
        _checked_servers(servers), _checked_topic(topic), username, password, secret.get(CA, "")
    )


def _parts(connection: str) -> list[tuple[str, str]]:
    """Return the names, in lower case, and the values of a connection string. Values may contain `=`."""
    pairs = (part.partition("=") for part in connection.split(";"))
    return [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def _checked_servers(servers: str) -> str:
    names = [name.strip() for name in servers.split(",")]
    if len(names) > _MAX_SERVERS or not all(map(_SERVERS.fullmatch, names)):
        raise DestinationError(
            f"{SERVERS} is no list of host:port with commas, with at most {_MAX_SERVERS} servers: correct it."
        )
    return ",".join(names)


def _checked_topic(topic: str) -> str:
    if not _TOPIC.fullmatch(topic):
        raise DestinationError(
            f"The name of the topic has other characters than letters, digits, '.', '_' and '-', "
            f"or more than 249: correct EntityPath or {TOPIC}."
        )
    return topic
