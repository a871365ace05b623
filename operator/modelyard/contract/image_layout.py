"""Paths, port and user of every image that a builder makes.

The paths below /var are those of the Azure ML containers, since drivers refer to them.
"""

from __future__ import annotations

from typing import Final

APP_ROOT: Final = "/var/azureml-app"
MODELS_ROOT: Final = "/var/azureml-models"
RUNTIME: Final = "/opt/modelyard/runtime"
ENVIRONMENT: Final = "/opt/modelyard/environment"
PORT: Final = 5001
USER: Final = 10001
