"""`python -m modelyard.scoring`: serve the driver named by the environment."""

import logging
import os
import sys

from modelyard.scoring.app import ScoringApp
from modelyard.scoring.keys import Keys
from modelyard.scoring.lifecycle import Lifecycle
from modelyard.scoring.logs import configure_logs
from modelyard.scoring.score import ScoreEndpoint
from modelyard.scoring.server import DRIVER_FAILED, ScoringServer
from modelyard.scoring.settings import Settings, SettingsError
from modelyard.scoring.workers import Workers


def main() -> int:
    """Returns the exit code: 0 after a drain, 3 when the driver or the settings cannot be used."""
    configure_logs()
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        logging.getLogger("modelyard.scoring").critical("%s", error)
        return DRIVER_FAILED
    lifecycle = Lifecycle()
    workers = Workers(settings.max_concurrent_requests)
    score = ScoreEndpoint(settings, lifecycle, Keys(settings.keys_dir), workers)
    app = ScoringApp(lifecycle, score, settings.max_body_bytes)
    server = ScoringServer(settings, lifecycle, workers, app)
    server.run()
    return server.exit_code


if __name__ == "__main__":
    sys.exit(main())
