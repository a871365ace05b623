"""A real Kafka broker of this machine, with TLS and passwords as Event Hubs has them."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tests.support.certificates import certificate_for
from tests.support.programs import program
from tests.support.servers import Server, free_port

READER: Final = "reader"
"""Name and password of a user who may write to no topic. The other user is that of the connection string."""
SECONDS: Final = 30
# Controller and broker in one process (KRaft). ANONYMOUS is the plain listener's user.
_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    # After a kill the controller refuses the same broker until its old session has ended.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAIN",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,SECURE:SASL_SSL",
    "sasl.enabled.mechanisms": "PLAIN",
    "ssl.keystore.type": "PEM",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS;User:$ConnectionString",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "group.initial.rebalance.delay.ms": "0",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}


class Broker:
    """Context manager that runs a broker with one partition for each topic. Its data outlives a kill.

    `plain` and `secure` are the addresses (`host:port`) of the listeners without and with TLS and password.
    """

    def __init__(self, folder: Path) -> None:
        """Write the settings and the certificate into `folder`."""
        ports = {name: free_port() for name in ("CONTROLLER", "PLAIN", "SECURE")}
        self.plain: Final = f"127.0.0.1:{ports['PLAIN']}"
        self.secure: Final = f"127.0.0.1:{ports['SECURE']}"
        self.connection_string: Final = (
            f"Endpoint=sb://{self.secure}/;SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0="
        )
        certificate = certificate_for("127.0.0.1", folder)
        self.ca: Final = certificate.authority
        keystore = folder / "keystore.pem"
        keystore.write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
        users = f'user_$ConnectionString="{self.connection_string}" user_{READER}="{READER}"'
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        settings = _SETTINGS | {
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
            "controller.quorum.voters": f"1@127.0.0.1:{ports['CONTROLLER']}",
            "log.dirs": str(folder / "data"),
            "ssl.keystore.location": str(keystore),
            "listener.name.secure.plain.sasl.jaas.config": f"{login} {users};",
        }
        self._properties = folder / "server.properties"
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = [program("kafka"), "kafka.Kafka", self._properties]
        self._server = Server(command, ports["SECURE"], folder)

    def __enter__(self) -> Self:
        options = ["--cluster-id", "modelyard-tests-000000", "--config", self._properties]
        command = [program("kafka"), "kafka.tools.StorageTool", "format", *options]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the broker, and wait until it accepts connections."""
        self._server.start()

    def kill(self) -> None:
        """Kill the broker with SIGKILL."""
        self._server.kill()

    def restart(self) -> None:
        """Kill the broker, and start it with its data."""
        self.kill()
        self.start()

    def create_topic(self, **settings: str) -> str:
        """Create a topic with settings of Kafka, and return its name."""
        name = f"topic-{uuid.uuid4().hex[:8]}"
        topic = NewTopic(name, num_partitions=1, replication_factor=1, config=settings)
        admin = AdminClient({"bootstrap.servers": self.plain})
        admin.create_topics([topic], request_timeout=SECONDS)[name].result(SECONDS)
        return name

    def count(self, topic: str) -> int:
        """Return the number of records that a topic has got."""
        consumer = Consumer({"bootstrap.servers": self.plain, "group.id": "tests"})
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=SECONDS)
            return int(end)
        finally:
            consumer.close()

    def records(self, topic: str) -> Iterator[Any]:
        """Yield each record of a topic that its consumers see: key, value and headers by methods."""
        settings = {"bootstrap.servers": self.plain, "group.id": "tests", "enable.partition.eof": True}
        consumer = Consumer(settings | {"enable.auto.commit": False})
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            while message := consumer.poll(SECONDS):
                if not message.error():
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    return
            raise AssertionError(f"{topic} gives no record for {SECONDS} s")
        finally:
            consumer.close()
