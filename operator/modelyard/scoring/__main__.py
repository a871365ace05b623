"""`python -m modelyard.scoring`: serve the driver named by the environment."""

import logging
import os
import sys

from modelyard.scoring.logs import configure_logs
from modelyard.scoring.process import Process
from modelyard.scoring.settings import Settings, SettingsError


def main() -> int:
    """Returns the exit code: 0 after a drain, 3 when the driver or the settings cannot be used."""
    configure_logs()
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        logging.getLogger("modelyard.scoring").critical("%s", error)
        return 3
    # The workers load the driver while this process loads the server.
    processes = [Process(settings, settings.threads_per_worker, os.environ) for _ in range(settings.workers)]
    from modelyard.scoring.server import ScoringServer  # noqa: PLC0415 - see above
    from modelyard.scoring.telemetry import Telemetry  # noqa: PLC0415

    telemetry = Telemetry.from_environment(os.environ) if settings.telemetry else None
    return ScoringServer(settings, processes, telemetry).run()


if __name__ == "__main__":
    sys.exit(main())
