"""Paths, port and user of every image that a builder makes.

The paths below /var are those of the Azure ML containers, since drivers refer to them.
"""

from __future__ import annotations

from typing import Final

from modelyard.scoring.contract import APP_ROOT, PORT
from modelyard.scoring.contract import USER_ID as USER

__all__ = ["APP_ROOT", "ENVIRONMENT", "LAYOUT_VERSION", "MODELS_ROOT", "PORT", "RUNTIME", "USER"]

MODELS_ROOT: Final = "/var/azureml-models"
RUNTIME: Final = "/opt/modelyard/runtime"
ENVIRONMENT: Final = "/opt/modelyard/environment"

LAYOUT_VERSION: Final = 3
"""Part of the hash of an image's inputs. Raise it when the builder makes another image of the same inputs."""
