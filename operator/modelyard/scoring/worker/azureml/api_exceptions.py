"""`azureml.api.exceptions`: a driver raises them to choose the status of the response."""

from typing import Any


class ApiException(Exception):
    """An exception with the status of the HTTP response."""

    status_code = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def to_dict(self) -> dict[str, Any]:
        """Return status and message."""
        return {"errorCode": self.status_code, "message": self.message}


class ClientSideException(ApiException):
    """The client must change its request."""

    status_code = 400


class ServerSideException(ApiException):
    """The service failed."""


class BadRequestException(ClientSideException):
    """The request is invalid."""


class UnauthorizedException(ClientSideException):
    """The client is unknown."""

    status_code = 401


class NotFoundException(ClientSideException):
    """The request names something that does not exist."""

    status_code = 404


class UnsupportedMediaTypeException(ClientSideException):
    """The media type of the body is unknown."""

    status_code = 415


class TooManyRequestsException(ClientSideException):
    """The client sends too many requests."""

    status_code = 429


class InternalServerException(ServerSideException):
    """The service failed."""


class ServiceUnavailableException(ServerSideException):
    """The service is not available now."""

    status_code = 503
