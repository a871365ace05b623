"""`azureml.logging` of the Workbench: get_azureml_logger(), whose lines go to the log."""

from typing import Any


class AzureMLLogger:
    """Writes metrics to the log."""

    def log(self, name: str, value: Any) -> None:
        """Print a metric."""
        print(f"{name}: {value}")  # noqa: T201 - drivers' output is their log


def get_azureml_logger() -> AzureMLLogger:
    """Return a logger."""
    return AzureMLLogger()
