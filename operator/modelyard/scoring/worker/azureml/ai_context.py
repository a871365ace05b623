"""`azureml.ai.monitoring.context`: the correlation of data that belongs together."""

import time
import uuid
from typing import Any

from modelyard.scoring.worker.current_request import current_ids


class CorrelationContext:
    """The base of all contexts."""

    @staticmethod
    def get_id() -> str:
        """Return the correlation id."""
        return ""

    def __str__(self) -> str:
        return self.get_id()

    def __repr__(self) -> str:
        return self.get_id()


class BasicCorrelationContext(CorrelationContext):
    """A correlation id with a time."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - the name of the argument in the package
        timestamp: int | None = None,
        headers: dict[str, Any] | None = None,
    ) -> None:
        """`timestamp` is in seconds since the epoch."""
        self.id = id or str(uuid.uuid4())
        self.timestamp = timestamp or int(time.time())
        self.headers = headers or {}

    def get_id(self) -> str:  # type: ignore[override]  # static in the base, as in the package
        """Return the correlation id."""
        return self.id

    def get_timestamp(self) -> int:
        """Return the time in seconds since the epoch."""
        return self.timestamp

    def get_headers(self) -> dict[str, Any]:
        """Return the headers of the caller."""
        return self.headers


class WrapperContext(CorrelationContext):
    """A context with the result of collect()."""

    def __init__(self, correlation_context: Any, success: bool, message: str) -> None:
        self._context = correlation_context
        self._success = success
        self._message = message

    def get_id(self) -> Any:  # type: ignore[override]
        """Return the correlation id."""
        return self._context.get_id()

    def get_timestamp(self) -> Any:
        """Return the time in seconds since the epoch."""
        return self._context.get_timestamp()

    def get_headers(self) -> Any:
        """Return the headers of the caller."""
        return self._context.get_headers()

    def is_success(self) -> bool:
        """Return True if the data is collected."""
        return self._success

    def get_message(self) -> str:
        """Return the reason if the data is not collected."""
        return self._message


def get_context() -> CorrelationContext:
    """Return the context of the present request, whose id is the request id; outside of run() a new one."""
    return BasicCorrelationContext(current_ids()[0])


def get_context_wrapper(context: Any, success: bool, message: str) -> CorrelationContext:
    """Return the context with a result."""
    return WrapperContext(context, success, message)
