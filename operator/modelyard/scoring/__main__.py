"""`python -m modelyard.scoring`: serve the driver named by the environment."""

import logging
import os
import sys
from collections.abc import Mapping

from modelyard.scoring.logs import configure_logs
from modelyard.scoring.settings import Settings, SettingsError
from modelyard.scoring.spawn import spawn


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Returns the exit code: 0 after a drain, 3 when the driver or the settings cannot be used."""
    configure_logs()
    try:
        settings = Settings.from_environment(environment)
    except SettingsError as error:
        logging.getLogger("modelyard.scoring").critical("%s", error)
        return 3
    # The workers load the driver while this process loads the server.
    spawned = [spawn(settings, environment) for _ in range(settings.workers)]
    from modelyard.scoring.server import ScoringServer  # noqa: PLC0415 - see above
    from modelyard.scoring.telemetry import Telemetry  # noqa: PLC0415

    telemetry = Telemetry.from_environment(environment) if settings.telemetry else None
    return ScoringServer(settings, spawned, lambda: spawn(settings, environment), telemetry).run()


if __name__ == "__main__":
    sys.exit(main())
