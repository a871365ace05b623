"""The event hub: Azure Event Hubs, or any other Kafka.

Only side-cars with an event hub import this package, since librdkafka takes 20 MB of memory.

    sink         delivers batches, and knows which of their rows the broker has
    progress     the state of each row of the present batch
    producer     settings of librdkafka, and the part of its producer that the sink uses
    failures     the sentence for each failure of librdkafka or of the broker
    destination  address, topic and credentials, from the Secret and the platform's defaults
"""

from modelyard.collection.event_hub.sink import EventHub, open_event_hub

__all__ = ["EventHub", "open_event_hub"]
