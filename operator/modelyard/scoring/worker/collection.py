"""The switch of data collection in a worker: without it nothing of the spool is loaded."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.worker.current_request import CurrentRequests

if TYPE_CHECKING:
    from modelyard.scoring.worker.driver_data import DriverData

_driver_data: "DriverData | None" = None


def driver_data() -> "DriverData | None":
    """Return the data of this process, the same for all collectors; None if data collection is off."""
    global _driver_data  # noqa: PLW0603 - one writer for each process
    if not os.environ.get(Variable.COLLECTION_DIR):
        return None
    if _driver_data is None:
        from modelyard.scoring.spool.settings import CollectionSettings  # noqa: PLC0415 - only if it is on
        from modelyard.scoring.worker.driver_data import DriverData  # noqa: PLC0415

        settings = CollectionSettings.from_environment(os.environ)
        assert settings is not None  # noqa: S101 - for mypy: there is a folder
        CurrentRequests.is_needed = True
        _driver_data = DriverData(settings)
    return _driver_data


def declared_columns_of(openapi: Mapping[str, Any]) -> str:
    """Return the columns of OpenAPI documents, see spool.declared; none if data collection is off."""
    if not os.environ.get(Variable.COLLECTION_DIR):
        return ""
    from modelyard.scoring.spool.declared import encode_declared  # noqa: PLC0415 - only if it is on
    from modelyard.scoring.worker.declared_columns import declared_columns  # noqa: PLC0415

    return encode_declared(declared_columns(openapi)).decode()
